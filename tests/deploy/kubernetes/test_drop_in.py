"""The Service selects Pyroscope, then the relay, then Pyroscope again; the direct Service never selects the relay."""

import copy

import pytest

from manifests import DROP_IN, documents, one, pod_of, port_of, selects, validate

# Labels, Service and pod as the official chart renders them for a release `pyroscope`, a single binary:
# templates/services.yaml and values.yaml of grafana/pyroscope, chart 2.2.1.
LABELS = {
    "app.kubernetes.io/name": "pyroscope",
    "app.kubernetes.io/instance": "pyroscope",
    "app.kubernetes.io/component": "all",
}
CHARTS_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "pyroscope", "labels": {**LABELS, "app.kubernetes.io/managed-by": "Helm"}},
    "spec": {
        "type": "ClusterIP",
        "ports": [{"port": 4040, "targetPort": "http2", "protocol": "TCP", "name": "http2"}],
        "selector": LABELS,
    },
}
CHARTS_POD = {
    "metadata": {"labels": LABELS},
    "spec": {"containers": [{"name": "pyroscope", "ports": [{"name": "http2", "containerPort": 4040}]}]},
}

RELAY = pod_of(one(documents(DROP_IN / "relay.yaml"), "Deployment"))


def only(folder, name):
    (document,) = documents(DROP_IN / folder / name)
    return document


def patched(service, name):
    """The Service after one of the patches, which replace the selector and nothing else."""
    (operation,) = only("helm", name)
    assert (operation["op"], operation["path"]) == ("replace", "/spec/selector")
    service = copy.deepcopy(service)
    service["spec"]["selector"] = operation["value"]
    validate(service, "1.25")
    return service


def plain():
    existing = documents(DROP_IN / "plain/pyroscope.yaml")
    pod = pod_of(one(existing, "StatefulSet"))
    services = [one(existing, "Service"), only("plain", "take-over.yaml"), only("plain", "give-back.yaml")]
    return pod, services, only("plain", "direct.yaml")


def helm():
    taken = patched(CHARTS_SERVICE, "take-over.yaml")
    return CHARTS_POD, [CHARTS_SERVICE, taken, patched(taken, "give-back.yaml")], only("helm", "direct.yaml")


@pytest.mark.parametrize("existing", [plain, helm])
def test_the_service_is_taken_over_and_given_back(existing):
    pod, (before, taken, after), direct = existing()
    assert selects(before, pod) and not selects(before, RELAY)
    assert selects(taken, RELAY) and not selects(taken, pod)
    assert after == before
    for service in [before, taken]:
        assert service["metadata"]["name"] == "pyroscope"
        assert service["spec"]["ports"][0] == before["spec"]["ports"][0], "clients see no difference"
    assert port_of(before, pod) == port_of(taken, RELAY) == port_of(direct, pod) == 4040
    assert selects(direct, pod) and not selects(direct, RELAY)


@pytest.mark.parametrize("existing", [plain, helm])
def test_the_relay_goes_the_direct_way(existing):
    _, _, direct = existing()
    config = one(documents(DROP_IN / "relay.yaml"), "ConfigMap")["data"]["pyrotee.yaml"]
    assert f"address: http://{direct['metadata']['name']}:{direct['spec']['ports'][0]['port']} " in config
    assert "//pyroscope:" not in config
