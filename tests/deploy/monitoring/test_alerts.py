"""promtool evaluates each case beside a healthy relay: exactly the expected alerts fire."""

import json
import re
import subprocess

import pytest

from cases import CASES, Case
from files import RULES, RUNBOOK, alerts, expressions
from loopback.processes import ROOT
from series import ASKED, MEMORY, ON_PURPOSE, REASONS, SHARED, SPOOL

WELL = [
    Case("all is well", {}, {}),
    Case("all is well, with a spool", {}, {}, SPOOL),
    Case("all is well, with a shared backlog", {}, {}, SHARED),
]


def firing(case):
    """The expected series of alerts."""
    for alert, labels in case.fires.items():
        fixed = {"job": "pyrotee", "instance": "relay-0:4041"}
        fixed |= {"alertname": alert, "alertstate": "firing"}
        fixed |= {"severity": alerts()[alert]["labels"]["severity"]}
        named = {key: value for key, value in {**fixed, **labels}.items() if value is not None}
        text = ",".join(f'{key}="{value}"' for key, value in sorted(named.items()))
        yield {"labels": f"ALERTS{{{text}}}", "value": 1}


@pytest.mark.parametrize("case", [*WELL, *CASES], ids=lambda case: case.title)
def test_exactly_the_alerts_of_the_case_fire(promtool, tmp_path, case):
    assert case.changed.keys() <= case.well.keys(), "a case changes what is there"
    series = {**case.well, **case.changed}
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": 'ALERTS{alertstate="firing"}', "eval_time": ASKED, "exp_samples": list(firing(case))}
        ],
    }
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    run = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_has_a_case_and_the_labels_that_its_texts_name():
    fired = {}
    for case in CASES:
        for alert, labels in case.fires.items():
            known = {"job", "instance"} | labels.keys()
            fired[alert] = known - {key for key, value in labels.items() if value is None}
    assert fired.keys() == alerts().keys()
    for name, rule in alerts().items():
        used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        assert used <= fired[name], name


def test_every_reason_of_a_drop_raises_an_alert_or_nothing_on_purpose():
    page = (ROOT / "docs/metrics.md").read_text()
    table, others = re.search(r"^\| reason (.*?)^The others exist at zero: (.*?)$", page, re.M | re.S).groups()
    documented = re.findall(r"^\| `(\w+)` \|", table, re.M) + re.findall(r"`(\w+)`", others)
    assert sorted(documented) == sorted(REASONS)
    watched = []
    for name, rule in alerts().items():
        for text in re.findall(r'dropped_profiles_total\{reason=~?"([^"]+)"', rule["expr"]):
            watched += [(reason, name) for reason in text.split("|")]
    reasons = [reason for reason, _ in watched]
    assert sorted([*reasons, *ON_PURPOSE]) == sorted(REASONS), "each reason has one alert, or none on purpose"
    rows = re.findall(r"^\| `(\w+)` \| (?:\[(\w+)\]\(\2\.md\)|none): ", (RUNBOOK / "README.md").read_text(), re.M)
    assert [reason for reason, _ in rows] == REASONS
    assert {(reason, alert) for reason, alert in rows if alert} == set(watched)


def test_rules_and_queries_of_the_dashboard_parse(promtool, tmp_path):
    run = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    records = [
        {"record": f"query:{number}", "expr": expression}
        for number, (_, expression) in enumerate(expressions())
    ]
    file = tmp_path / "queries.json"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": records}]}))
    run = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_says_how_grave_it_is_and_what_to_do():
    for name, rule in alerts().items():
        assert re.fullmatch(r"Pyrotee[A-Z]\w+", name)
        assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"}), name
        notes = rule["annotations"]
        assert notes.keys() == {"summary", "description", "runbook"}, name
        assert notes["runbook"] == f"pyrotee runbook {name}"


def test_the_kinds_of_relay_differ_in_what_keeps_the_backlog_alone():
    for kind, words in [(SPOOL, ["spool_"]), (SHARED, ["shared_", "taken_over_", "handed_over_"])]:
        assert MEMORY.keys() < kind.keys()
        assert all(any(word in name for word in words) for name in kind.keys() - MEMORY.keys())
