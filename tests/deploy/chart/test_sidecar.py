"""The sidecar templates, as the chart of an application uses them."""

import kubernetes_validate
import pytest

from support import check, find, kinds, relay, secrets_of, set_path
from test_renders import restricted


def test_the_relay_starts_first_and_goes_last(application, tmp_path):
    objects = application.objects()
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    sidecar = pod["initContainers"][0]
    assert (sidecar["name"], sidecar["restartPolicy"]) == ("pyrotee", "Always")
    # The application waits for the relay to start. A hook of the relay would run beside the application's.
    assert "startupProbe" in sidecar and "lifecycle" not in sidecar
    # A relay that is not ready must not take the application out of its Service.
    assert "readinessProbe" not in sidecar
    assert pod["terminationGracePeriodSeconds"] == 60
    assert {"secretRef": {"name": "shop-profiles"}} in sidecar["envFrom"]
    assert secrets_of(pod) == ["shop-profiles"]
    assert list(restricted(pod)) == []
    config = find(objects, "ConfigMap", "rel-pyrotee")
    assert {"name": "pyrotee-config", "configMap": {"name": "rel-pyrotee"}} in pod["volumes"]
    answer = check(tmp_path, config["data"]["pyrotee.yaml"], {"POD_NAME": "shop-1"})
    assert answer.returncode == 0, answer.stderr
    for one in objects:
        kubernetes_validate.validate(one, "1.29", strict=True)


def test_no_workload_of_its_own(application):
    assert kinds(application.objects()) == {"Deployment", "ConfigMap"}


def test_the_spool_of_a_sidecar(application):
    values = {"pyrotee": {"spool": {"volume": "emptyDir", "size": "64Mi"}}}
    objects = application.objects(values)
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    assert {"name": "pyrotee-spool", "emptyDir": {"sizeLimit": "64Mi"}} in pod["volumes"]
    assert "max-bytes: 51MiB" in find(objects, "ConfigMap")["data"]["pyrotee.yaml"]
    assert relay(find(objects, "Deployment"))["resources"]["requests"]["ephemeral-storage"] == "64Mi"


def test_the_pod_monitor_finds_the_applications_pods(application):
    objects = application.objects({"pyrotee": {"monitoring": {"podMonitor": {"enabled": True}}}})
    selector = find(objects, "PodMonitor")["spec"]["selector"]["matchLabels"]
    template = find(objects, "Deployment")["spec"]["template"]
    assert selector.items() <= template["metadata"]["labels"].items()
    ports = [port["name"] for port in relay(find(objects, "Deployment"))["ports"]]
    assert find(objects, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"] in ports


def test_its_configuration_starts_the_application_anew_only_on_request(application):
    def annotations(values):
        template = find(application.objects(values), "Deployment")["spec"]["template"]
        return template["metadata"]["annotations"]

    assert annotations({}) is None
    anew = set_path({}, "pyrotee.restartOnChange", True)
    assert annotations(anew) != annotations(set_path(anew, "pyrotee.config.log", {"level": "debug"}))


def test_the_older_form_is_an_ordinary_container(application):
    values = {"pyrotee": {"sidecar": {"native": False}}}
    with pytest.raises(Exception, match="set sidecar.native: false"):
        application.render({}, "1.28.0")
    container = relay(find(application.objects(values, "1.28.0"), "Deployment"))
    assert "restartPolicy" not in container and "lifecycle" not in container and "startupProbe" in container
