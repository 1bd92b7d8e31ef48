"""Objects of the Prometheus operator and of Gateway API, and dashboards for Grafana: Kubernetes' schemas do not cover them."""

import json

import pytest
import yaml

from support import CHART, Chart, find, set_path, values_of

MONITORING = values_of(CHART / "ci/monitoring-values.yaml")


def ci(name):
    return values_of(CHART / f"ci/{name}-values.yaml")


def test_the_service_monitor_scrapes_the_admin_service_once(chart):
    objects = chart.objects(MONITORING)
    monitor = find(objects, "ServiceMonitor")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert set(monitor["spec"]) == {"jobLabel", "namespaceSelector", "selector", "endpoints"}
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["profiling"]}
    selector = monitor["spec"]["selector"]["matchLabels"].items()
    services = [one for one in objects if one["kind"] == "Service" and selector <= one["metadata"]["labels"].items()]
    assert [one["metadata"]["name"] for one in services] == ["rel-pyrotee-admin"]
    [endpoint] = monitor["spec"]["endpoints"]
    assert set(endpoint) == {"port", "path", "scheme", "tlsConfig", "interval", "scrapeTimeout", "relabelings", "metricRelabelings"}
    assert endpoint["port"] in [port["name"] for port in services[0]["spec"]["ports"]]
    assert endpoint["path"] == "/metrics"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    # The expressions of the alerts select jobs with this word in their names.
    assert "pyrotee" in services[0]["metadata"]["labels"][monitor["spec"]["jobLabel"]]


def test_the_pod_monitor_names_its_job(chart):
    monitor = find(chart.objects(ci("sidecar")), "PodMonitor")
    assert set(monitor["spec"]) == {"namespaceSelector", "selector", "podMetricsEndpoints"}
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert set(endpoint) == {"port", "path", "scheme", "tlsConfig", "interval", "scrapeTimeout", "relabelings", "metricRelabelings"}
    assert endpoint["relabelings"][0] == {"targetLabel": "job", "replacement": "pyrotee"}
    assert endpoint["relabelings"][1]["targetLabel"] == "cluster"


@pytest.mark.parametrize(("monitor", "kind", "field"), [("serviceMonitor", "ServiceMonitor", "endpoints"), ("podMonitor", "PodMonitor", "podMetricsEndpoints")])
def test_a_scrape_is_by_https_only_with_tls_settings(chart, monitor, kind, field):
    def endpoint(settings):
        values = {**ci("deployment"), "monitoring": {monitor: {"enabled": True, **settings}}}
        return find(chart.objects(values), kind)["spec"][field][0]

    assert not {"scheme", "tlsConfig"} & set(endpoint({}))
    tls = {"serverName": "pyrotee"}
    assert (endpoint({"tlsConfig": tls})["scheme"], endpoint({"tlsConfig": tls})["tlsConfig"]) == ("https", tls)


def test_monitors_do_not_ask_what_the_cluster_can_do():
    for template in (CHART / "templates").rglob("*"):
        if template.is_file():
            assert "APIVersions" not in template.read_text(), template


def test_the_route_leads_to_the_relay(chart):
    objects = chart.objects(ci("exposed"))
    route = find(objects, "HTTPRoute")
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert set(route["spec"]) == {"parentRefs", "hostnames", "rules"}
    [rule] = route["spec"]["rules"]
    assert set(rule) == {"backendRefs", "matches", "filters"}
    assert rule["backendRefs"] == [{"name": "rel-pyrotee", "port": 80}]


def test_rules_and_dashboards_come_as_they_are():
    """Renders the chart itself, not the copy with samples."""
    objects = Chart(CHART).objects(set_path(MONITORING, "monitoring.rules.runbookBaseUrl", ""))
    rules = find(objects, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((CHART / "rules/pyrotee.yaml").read_text())
    assert rules["metadata"]["labels"]["release"] == "prometheus"
    files = sorted((CHART / "dashboards").glob("*.json"))
    assert files
    for file in files:
        config = find(objects, "ConfigMap", f"rel-pyrotee-dashboard-{file.stem}"[:53].rstrip("-"))
        assert json.loads(config["data"][file.name]) == json.loads(file.read_text())
        assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert config["metadata"]["annotations"] == {"grafana_folder": "Profiling"}
        # Limits on the size of an object, and of the annotation that `kubectl apply` adds.
        assert len(json.dumps(config)) < 256 * 1024, "apply it with --server-side"


@pytest.mark.parametrize("base", ["https://wiki.example.com/pyrotee", "https://wiki.example.com/pyrotee/"])
def test_an_alert_names_the_page_on_a_server_or_else_the_command_that_prints_the_page(base):
    rules = yaml.safe_load((CHART / "rules/pyrotee.yaml").read_text())
    for rule in rules["groups"][0]["rules"]:
        assert rule["annotations"].pop("runbook") == f"pyrotee runbook {rule['alert']}"
        rule["annotations"]["runbook_url"] = f"https://wiki.example.com/pyrotee/{rule['alert']}"
    values = set_path(MONITORING, "monitoring.rules.runbookBaseUrl", base)
    assert find(Chart(CHART).objects(values), "PrometheusRule")["spec"] == rules


@pytest.mark.parametrize("name", ["deployment", "daemonset"])
def test_without_the_values_there_is_none(chart, name):
    kinds = {one["kind"] for one in chart.objects(ci(name))}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute", "Ingress", "NetworkPolicy"}
