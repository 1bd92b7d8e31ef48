"""The files under test, and their alerts, queries and series."""

import json
import re

import yaml

from loopback.processes import ROOT

RULES = ROOT / "deploy/helm/pyrotee/rules/pyrotee.yaml"
DASHBOARD = ROOT / "deploy/helm/pyrotee/dashboards/pyrotee.json"
RUNBOOK = ROOT / "docs/runbook"

# Series that Prometheus adds.
FOREIGN = {"up"}


def alerts():
    """All alerts, by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def dashboard():
    return json.loads(DASHBOARD.read_text())


def queries():
    """Every query of the dashboard, with the title of its panel."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def filled_in(query):
    """A query as Grafana sends it when all values of the variables are selected."""
    query = query.replace("$__rate_interval", "1m").replace("$__range", "1m")
    return re.sub(r"\$(cluster|namespace|job|instance|target)\b", ".*", query)


def expressions():
    """Every expression of rules and dashboard, with the name of its alert or panel."""
    yield from ((f"alert {name}", rule["expr"]) for name, rule in alerts().items())
    yield from ((f"panel {title!r}", filled_in(query)) for title, query in queries())


def names(expression):
    """The series that an expression reads."""
    return set(re.findall(r"\b(?:pyroscope_\w+|process_\w+|up)\b", expression))


def matchers(expression):
    """The fixed label values that an expression selects, as (series, label, value)."""
    for name, inside in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, operator, text in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', inside):
            if label != "job" and text != ".*":
                values = text.split("|") if "~" in operator else [text]
                yield from ((name, label, value) for value in values)
