"""Each fault, injected into a relay of its own: the log, `pyrotee status` and an alert show it, with one remedy.

The table in docs/troubleshooting.md is what this test saw. After a change of a text, `make faults` writes it anew.
"""

import http.client
import os
import re
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from disk import SmallDisk
from faults import faults
from files import RUNBOOK
from loopback.processes import ROOT, eventually
from prometheus import Prometheus
from shared_faults import shared_faults

PAGE = ROOT / "docs/troubleshooting.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
HEAD = "| fault | log | `pyrotee status` | alert | remedy |\n|---|---|---|---|---|"

# Seconds within which a fault is seen everywhere. A condition must hold at one evaluation: an alert that waits for
# minutes counts from then on, as Prometheus' state `pending`.
SEEN = 120.0

# Seconds between two profiles to the same relay.
PACE = 0.2


def config_of(fault, well):
    """The configuration of a relay with this fault; everything else works."""

    def address(place):
        return well if place is None else getattr(place, "url", place)

    target = {"address": address(fault.target), **fault.options}
    config = {
        "upstream": {"address": address(fault.upstream), "timeout": "1s"},
        "remote-write": {"enabled": True, "targets": {"central": target}},
        **fault.config,
    }
    if fault.disk:
        config["spool"] = {"dir": f"{fault.disk.path}/spool", "max-bytes": "16MiB"}
    return config


def keep_sending(relay, profile, tls, stop):
    while not stop.wait(PACE):
        if tls:
            client = http.client.HTTPSConnection(relay.address, timeout=5, context=ssl._create_unverified_context())
        else:
            client = http.client.HTTPConnection(relay.address, timeout=5)
        try:
            client.request("POST", "/ingest?name=app&format=folded", profile)
            client.getresponse().read()
        except OSError:
            pass
        finally:
            client.close()


@pytest.fixture(scope="module")
def injected(family):
    """A relay for each fault, all of them in use, and a Prometheus that scrapes them."""
    sink = family.sink("well")
    well = f"http://{sink.address}"
    relays, others = {}, []
    for number, fault in enumerate([*faults(family.folder / "certificates"), *shared_faults(family)]):
        name = f"fault-{number}"
        relays[name] = fault, family.relay(name, config_of(fault, well))
        if fault.other_target:
            others.append((fault, family.relay(f"{name}-other", config_of(replace(fault, target=fault.other_target), well))))
        if fault.then:
            fault.then(family, relays[name][1])
    stop = threading.Event()
    sending = [(relay, fault.profile, "listen-tls" in fault.config, stop) for fault, relay in [*relays.values(), *others]]
    clients = [threading.Thread(target=keep_sending, args=arguments) for arguments in sending]
    for client in clients:
        client.start()
    prometheus = family.add(Prometheus(family.folder, {name: relay for name, (_, relay) in relays.items()}))
    yield relays, prometheus
    stop.set()
    for client in clients:
        client.join()
    prometheus.stop()
    # Each waits for its shutdown.grace.
    with ThreadPoolExecutor(len(sending)) as threads:
        list(threads.map(lambda it: it[1].stop(), [*relays.values(), *others]))
    for fault, _ in relays.values():
        fault.stop()


def line(text, pattern):
    """The first line that matches."""
    return next((line for line in text.splitlines() if re.search(pattern, line)), None)


def cell(text):
    return text.replace("|", "\\|")


def row(family, prometheus, name, fault, relay, missing):
    """What is seen of a fault, as a row of the table. `missing` gets the places without its remedy."""

    def status():
        return family.run("status", "--admin", relay.admin).stdout

    def raised():
        found = (alert["labels"] for alert in prometheus.ask("alerts")["alerts"])
        return any((it["alertname"], it["job"]) == (fault.alert, f"pyrotee-{name}") for it in found)

    shown = eventually(f"{fault.status!r} in the status of {fault.title}", lambda: line(status(), fault.status), SEEN)
    log, remedy = fault.no_log, fault.remedy
    if fault.log:
        said = eventually(f"{fault.log!r} in the log of {fault.title}", lambda: line(relay.text(), fault.log), SEEN)
        level, message = re.match(r"\S+ +([A-Z]+) (.*?)(?: \w+=|$)", said).groups()
        labels = re.findall(rf'\b(?:{fault.fields})=(?:"[^"]*"|\w+)', said)
        if fault.log_shown:
            log = f"`{re.search(fault.log_shown, said)[0]} … {fault.remedy}`"
        else:
            remedy = re.search(r'remedy="([^"]*)"', said)[1]
            # The exact version is that of the server which this machine has.
            labels = [re.sub(r"\b(\d+\.\d+)\.\d+\b", r"\1", label) for label in labels]
            log = " ".join([f"`{level} {message}`", *(f"`{label}`" for label in labels)])
    if fault.log and remedy not in status():
        missing.append(f"the status has not the remedy of {fault.title}: {remedy!r}")
    alert = fault.no_alert
    if fault.alert:
        eventually(f"{fault.alert} of {fault.title}", raised, SEEN)
        page = RUNBOOK / f"{fault.alert}.md"
        if remedy not in page.read_text():
            missing.append(f"{page.name} has not the remedy of {fault.title}: {remedy!r}")
        alert = f"[{fault.alert}](runbook/{fault.alert}.md)"
    state = re.search(fault.shown, shown)[0].strip()
    return "| " + " | ".join(cell(it) for it in (fault.title, log, f"`{state}`", alert, remedy)) + " |"


def test_each_fault_is_seen_in_log_status_and_alerts_with_one_remedy(family, injected):
    relays, prometheus = injected
    missing = []
    rows = [row(family, prometheus, name, *parts, missing) for name, parts in relays.items()]
    assert not missing
    table = "\n".join([BEGIN, HEAD, *rows, END])
    page = PAGE.read_text()
    written = page[page.index(BEGIN) : page.index(END) + len(END)]
    if os.environ.get("PYROTEE_RENEW"):
        PAGE.write_text(page.replace(written, table))
    else:
        assert written == table, "docs/troubleshooting.md differs: make faults"
