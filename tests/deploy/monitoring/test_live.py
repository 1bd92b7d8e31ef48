"""A real Prometheus with the real rules scrapes real relays, and evaluates the queries of the dashboard."""

import http.server
import re
import threading

import pytest

from files import FOREIGN, alerts, expressions, filled_in, matchers, names, queries
from loopback.pki import Authority
from loopback.processes import ROOT, eventually
from prometheus import Prometheus

# This series is absent at zero, and no target of these tests asks for a pause.
MAY_BE_EMPTY = "retry_after_seconds"


def remote_write(**targets):
    targets = {
        name: {"address": f"http://{address}", "tags": {"site": "here"}} for name, address in targets.items()
    }
    return {"enabled": True, "targets": targets}


class Application(http.server.BaseHTTPRequestHandler):
    """An application with pprof, whose profiles do not change."""

    def do_GET(self):
        name = {"/debug/pprof/profile": "go-cpu", "/debug/pprof/heap": "go-heap"}[self.path.split("?")[0]]
        # The first two bytes are for the fuzz target.
        profile = (ROOT / "tests/fuzz/corpus/pprof" / name).read_bytes()[2:]
        self.send_response(200)
        self.send_header("Content-Length", str(len(profile)))
        self.end_headers()
        self.wfile.write(profile)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def application():
    """The address of an application that a relay scrapes."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def relays(family, application):
    """Six healthy relays: one with a spool, one with a shared backlog, one that sends to another over TLS, one that scrapes; and one
    relay in trouble."""
    local, remote = family.sink("local"), family.sink("remote")
    refusing = family.sink("refusing", "--status", "503")
    wrong = family.sink("wrong", "--status", "401")
    upstream = {"address": f"http://{local.address}"}
    files = Authority(family.folder / "authority").issue(family.folder / "certificate", ["DNS:localhost"])
    central = family.relay(
        "central",
        {
            "listen-tls": {"cert-file": f"{files}/tls.crt", "key-file": f"{files}/tls.key"},
            "upstream": upstream,
            "remote-write": remote_write(central=remote.address),
        },
    )
    over_tls = {
        "address": f"https://localhost:{central.address.rsplit(':', 1)[1]}",
        "tls": {"ca-file": f"{files}/ca.crt"},
    }
    edge = {"upstream": over_tls, "remote-write": {"enabled": True, "targets": {"central": over_tls}}}
    return {
        "central": central,
        "edge": family.relay("edge", edge),
        "memory": family.relay(
            "memory", {"upstream": upstream, "remote-write": remote_write(central=remote.address)}
        ),
        "spool": family.relay(
            "spool",
            {
                "upstream": upstream,
                # Small enough for any disk, as in a sidecar.
                "spool": {"dir": str(family.folder / "spool"), "max-bytes": "16MiB"},
                "remote-write": remote_write(central=remote.address),
            },
        ),
        "shared": family.relay(
            "shared",
            {
                "upstream": upstream,
                "shared": {"servers": [f"nats://{family.nats()}"], "replicas": 1},
                "remote-write": remote_write(central=remote.address),
            },
        ),
        "scrape": family.relay(
            "scrape",
            {
                "upstream": upstream,
                "remote-write": remote_write(central=remote.address),
                "scrape-configs": [
                    {
                        "job-name": "shop",
                        "scrape-interval": "1s",
                        "enabled-profiles": ["cpu", "mem"],
                        "profiles": {"cpu": {"params": {"seconds": ["1"]}}},
                        "static-configs": [
                            {"application": "shop", "targets": [application]},
                        ],
                    }
                ],
            },
        ),
        "trouble": family.relay(
            "trouble",
            {
                "upstream": {"address": "http://127.0.0.1:1"},
                "remote-write": remote_write(
                    central=refusing.address, wrong=wrong.address, away="127.0.0.1:1"
                ),
            },
        ),
    }


@pytest.fixture(scope="module")
def prometheus(family, relays):
    """A Prometheus that has scraped the relays while they were idle and while they were in use. The relay with TLS gets profiles over plain
    HTTP as well, which fail."""
    prometheus = family.add(Prometheus(family.folder, relays))

    def scrapes(least):
        return len(prometheus.query(f"count_over_time(up[1m]) >= {least}")) == len(relays)

    eventually("a first scrape of each", lambda: scrapes(1))
    stop = threading.Event()

    def keep_sending():
        while not stop.wait(0.2):
            for relay in relays.values():
                for surface in ["ingest", "push"]:
                    family.run("send", "--to", f"http://{relay.address}", "--as", surface)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    eventually("five scrapes of each", lambda: scrapes(6))
    yield prometheus
    stop.set()
    sender.join()


def test_every_query_of_the_dashboard_has_an_answer(prometheus):
    silent = [
        (title, query)
        for title, query in queries()
        if MAY_BE_EMPTY not in query and not prometheus.query(filled_in(query))
    ]
    assert not silent


def test_every_rule_is_evaluated_and_relays_that_are_well_raise_no_alert(prometheus):
    rules = prometheus.ask("rules")["groups"][0]["rules"]
    assert {rule["name"] for rule in rules} == set(alerts())
    assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []
    raised = prometheus.ask("alerts")["alerts"]
    well = [a["labels"] for a in raised if a["labels"]["job"] != "pyrotee-trouble"]
    assert well == []


def test_a_relay_in_trouble_raises_the_alerts_of_its_trouble(prometheus):
    def raised():
        found = prometheus.ask("alerts")["alerts"]
        found = {(a["labels"]["alertname"], a["labels"].get("target")) for a in found}
        return found >= {
            ("PyroteeTargetFailing", "central"),
            ("PyroteeTargetFailing", "away"),
            ("PyroteeTargetRefusing", "wrong"),
            ("PyroteeUpstreamFailing", None),
        }

    eventually("the alerts", raised)


def test_every_metric_and_label_named_is_in_a_running_relay(prometheus, relays):
    metrics = "\n".join(relay.metrics() for relay in relays.values())
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", metrics, re.MULTILINE))
    series = set(re.findall(r"^(\w+)(?:\{| )", metrics, re.MULTILINE))
    for place, expression in expressions():
        missing = names(expression) - series - FOREIGN
        assert not missing, f"{place}: {missing}"
        for name, label, value in matchers(expression):
            found = re.search(rf'^{name}\{{[^}}]*\b{label}="{value}"', metrics, re.MULTILINE)
            assert found or name in FOREIGN, f'{place}: no {name}{{{label}="{value}"}}'
        for name in re.findall(r"\b(?:rate|increase)\((pyroscope_\w+)", expression):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert "counter" in (types.get(name), types.get(base)) or types.get(base) == "histogram", f"{place}: {name}"


def test_every_series_there_is_can_be_seen_on_the_dashboard_or_raises_an_alert():
    page = (ROOT / "docs/metrics.md").read_text()
    documented = set(re.findall(r"`(pyroscope_\w+)`", page))
    assert len(documented) > 60
    shown = set()
    for _, expression in expressions():
        shown |= {re.sub(r"_(bucket|sum|count)$", "", name) for name in names(expression)}
    legacy = {
        # The series of the ledger and of uploads contain more.
        "pyroscope_remote_write_client_sent_bytes",
        "pyroscope_remote_write_queue_dropped",
        # The dashboard shows drops in profiles only.
        "pyroscope_remote_write_dropped_bytes_total",
        # `pyrotee scrape status` has these by scrape target, or they say more than what the dashboard shows of a job.
        "pyroscope_relay_sd_errors_total",
        "pyroscope_relay_sd_last_success_timestamp_seconds",
        "pyroscope_relay_sd_targets",
        "pyroscope_scrape_target_pool_reloads_total",
        "pyroscope_scrape_target_pool_scrape_interval_length_seconds",
        "pyroscope_scrape_target_pool_sync_total",
        "pyroscope_scrape_target_pools_total",
        "pyroscope_scrape_target_profile_samples",
        "pyroscope_scrape_target_profile_size_bytes",
        "pyroscope_sd_discovered_targets",
        "pyroscope_sd_updates_total",
        # A setting, of which the start and `pyrotee status` warn.
        "pyroscope_relay_tls_insecure_skip_verify",
    }
    assert documented - shown == legacy
