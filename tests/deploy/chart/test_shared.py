"""Relays that share a backlog on NATS: what the chart makes of `config.shared`, `tls.shared` and autoscaling."""

import pytest
import yaml

from support import CHART, IMAGE, find, relay, set_path, values_of

EXAMPLE = values_of(CHART / "ci/shared-values.yaml")
LEAST = {
    "image": IMAGE,
    "config": {"upstream": {"address": "http://pyroscope:4040"}, "shared": {"servers": ["nats://nats"]}},
}


def config(objects):
    return yaml.safe_load(find(objects, "ConfigMap")["data"]["pyrotee.yaml"])


def test_relays_that_share_a_backlog_have_no_volume_and_no_replicas_of_their_own(chart):
    objects = chart.objects(EXAMPLE)
    workload = find(objects, "Deployment")
    assert "replicas" not in workload["spec"]
    assert "spool" not in config(objects)
    assert "pyrotee-spool" not in str(workload)


def test_autoscaling_is_by_cpu_alone_and_removes_one_relay_at_a_time(chart):
    spec = find(chart.objects(EXAMPLE), "HorizontalPodAutoscaler")["spec"]
    assert [one["resource"]["name"] for one in spec["metrics"]] == ["cpu"]
    down = spec["behavior"]["scaleDown"]
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 120}]
    assert down["stabilizationWindowSeconds"] >= 300


def test_a_relay_has_the_time_to_hand_over_what_it_holds(chart):
    objects = chart.objects(EXAMPLE)
    workload = find(objects, "Deployment")
    grace = int(config(objects)["shutdown"]["grace"].removesuffix("s"))
    stop = relay(workload)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > grace + stop
    assert find(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("server", "port"),
    [("nats://nats", 4222), ("tls://nats.messaging.svc:4443", 4443), ("nats://[fd00::1]:4333", 4333)],
)
def test_the_network_policy_lets_relays_connect_to_nats(chart, server, port):
    values = set_path(LEAST, "config.shared.servers", [server])
    values["networkPolicy"] = {"enabled": True, "egress": {"enabled": True}}
    rules = find(chart.objects(values), "NetworkPolicy")["spec"]["egress"]
    assert port in [one["port"] for rule in rules for one in rule["ports"]]


@pytest.mark.parametrize("mode", ["deployment", "daemonset"])
def test_other_kinds_of_workload_share_a_backlog_too(chart, mode):
    assert config(chart.objects({**LEAST, "mode": mode}))["shared"] == LEAST["config"]["shared"]


def test_a_statefulset_shares_a_backlog_once_it_has_no_spool(chart):
    objects = chart.objects({**LEAST, "mode": "statefulset", "spool": {"volume": "none"}})
    assert "spool" not in config(objects) and "shared" in config(objects)
