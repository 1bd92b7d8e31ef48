"""The effect of the values below `tls`: the volume of certificates, the configuration, probes, Services, monitors and the test's pod."""

import pytest
import yaml

from support import CHART, IMAGE, find, relay, set_path, values_of

LEAST = {
    "image": IMAGE,
    "config": {
        "upstream": {"address": "https://pyroscope:4040"},
        "remote-write": {"enabled": True, "targets": {"central": {"address": "https://profiles.example.com"}}},
    },
}
MUTUAL = {"secretName": "own", "caSecretName": "clients"}
DIR = "/run/secrets/pyrotee-tls"


def config(objects):
    return yaml.safe_load(find(objects, "ConfigMap")["data"]["pyrotee.yaml"])


def mounted(pod):
    """The paths of the volume of certificates: path, Secret and key."""
    [volume] = [one for one in pod["volumes"] if one["name"] == "pyrotee-tls"]
    return {
        item["path"]: (source["secret"]["name"], item["key"])
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }


def pod_of(objects):
    return find(objects, "Deployment")["spec"]["template"]["spec"]


def files(section, prefix=DIR):
    return {value.removeprefix(f"{prefix}/") for key, value in section.items() if key.endswith("-file")}


def test_every_file_that_the_configuration_names_is_mounted_from_its_secret(chart):
    objects = chart.objects(values_of(CHART / "ci/tls-values.yaml"))
    own = config(objects)
    targets = own["remote-write"]["targets"]
    named = [own["listen-tls"], own["admin-tls"], own["upstream"]["tls"], targets["central"]["tls"]]
    assert set().union(*map(files, named)) == set(mounted(pod_of(objects)))
    assert "tls" not in targets["public"]
    assert own["listen-tls"]["client-auth"] == "request" and own["listen-tls"]["min-version"] == "1.3"
    assert mounted(pod_of(objects))["targets/central/ca.crt"] == ("central-ca", "ca.crt")
    assert mounted(pod_of(objects))["admin/tls.key"] == ("rel-admin-tls", "tls.key")


def test_the_volume_is_a_directory_so_that_certificates_rotate(chart):
    container = relay(find(chart.objects({**LEAST, "tls": {"listen": MUTUAL}}), "Deployment"))
    [mount] = [one for one in container["volumeMounts"] if one["name"] == "pyrotee-tls"]
    assert mount == {"name": "pyrotee-tls", "mountPath": DIR, "readOnly": True}


def test_without_the_values_nothing_changes(chart):
    text = str(chart.objects(LEAST))
    assert "pyrotee-tls" not in text and "HTTPS" not in text and "appProtocol" not in text


def test_keys_of_the_configuration_win(chart):
    values = set_path({**LEAST, "tls": {"listen": MUTUAL}}, "config.listen-tls", {"client-ca-file": "/mine/ca.crt", "client-auth": "request"})
    section = config(chart.objects(values))["listen-tls"]
    assert section == {
        "cert-file": f"{DIR}/listen/tls.crt",
        "key-file": f"{DIR}/listen/tls.key",
        "client-ca-file": "/mine/ca.crt",
        "client-auth": "request",
    }


def test_authorities_alone_verify_a_target(chart):
    objects = chart.objects({**LEAST, "tls": {"targets": {"central": {"caSecretName": "{{ .Release.Name }}-ca"}}}})
    assert config(objects)["remote-write"]["targets"]["central"]["tls"] == {"ca-file": f"{DIR}/targets/central/ca.crt"}
    assert mounted(pod_of(objects)) == {"targets/central/ca.crt": ("rel-ca", "ca.crt")}


BY_CONFIG = {"config.admin-tls": {"cert-file": "/mine/tls.crt", "key-file": "/mine/tls.key"}}


@pytest.mark.parametrize("changes", [{"tls.admin.secretName": "own"}, BY_CONFIG], ids=["tls", "config"])
@pytest.mark.parametrize("mode", ["deployment", "statefulset", "daemonset"])
def test_probes_and_services_know_tls_of_the_admin_port(chart, mode, changes):
    values = {**LEAST, "mode": mode, "adminService": {"annotations": {"prometheus.io/scrape": "true"}}}
    for path, value in changes.items():
        values = set_path(values, path, value)
    objects = chart.objects(values)
    kind = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}[mode]
    container = relay(find(objects, kind))
    schemes = [container[f"{probe}Probe"]["httpGet"]["scheme"] for probe in ("startup", "readiness", "liveness")]
    assert schemes == ["HTTPS"] * 3
    admin = find(objects, "Service", "rel-pyrotee-admin")
    assert admin["spec"]["ports"][0]["appProtocol"] == "https"
    assert admin["metadata"]["annotations"]["prometheus.io/scheme"] == "https"
    assert "appProtocol" not in find(objects, "Service", "rel-pyrotee")["spec"]["ports"][0]
    assert "https://127.0.0.1:4041/metrics" in chart.notes(values)


def test_the_clients_services_know_tls_of_their_port(chart):
    values = {**LEAST, "mode": "statefulset", "tls": {"listen": {"secretName": "own"}}}
    objects = chart.objects(values)
    for name in ("rel-pyrotee", "rel-pyrotee-headless"):
        assert find(objects, "Service", name)["spec"]["ports"][0]["appProtocol"] == "https"
    assert "appProtocol" not in find(objects, "Service", "rel-pyrotee-admin")["spec"]["ports"][0]
    assert "accepts profiles at\n\n  https://rel-pyrotee.profiling.svc:4040" in chart.notes(values)
    ingress = {**values, "ingress": {"enabled": True, "hosts": [{"host": "a.example.com"}]}}
    assert "must connect to it by https" in chart.notes(ingress)


@pytest.mark.parametrize(("monitor", "kind", "endpoints"), [("serviceMonitor", "ServiceMonitor", "endpoints"), ("podMonitor", "PodMonitor", "podMetricsEndpoints")])
def test_monitors_verify_the_secret_of_the_admin_port(chart, monitor, kind, endpoints):
    ca = {"secret": {"name": "own", "key": "ca.crt"}}
    name = "rel-pyrotee-admin.profiling.svc"
    cases = [
        ({}, {"ca": ca, "serverName": name}),
        ({"serverName": "other"}, {"ca": ca, "serverName": "other"}),
        ({"ca": {}}, {"ca": {}, "serverName": name}),
        ({"insecureSkipVerify": True}, {"insecureSkipVerify": True}),
    ]
    for given, expected in cases:
        values = {**LEAST, "tls": {"admin": {"secretName": "own"}}, "monitoring": {monitor: {"enabled": True, "tlsConfig": given}}}
        [endpoint] = find(chart.objects(values), kind)["spec"][endpoints]
        assert (endpoint["scheme"], endpoint["tlsConfig"]) == ("https", expected)


def test_the_sidecar_has_the_certificates_and_its_probes_too(application):
    values = values_of(application.directory / "values.yaml")
    values = set_path(set_path(values, "pyrotee.tls.admin.secretName", "own"), "pyrotee.tls.targets", {"central": MUTUAL})
    pod = pod_of(application.objects(values))
    container = pod["initContainers"][0]
    assert container["startupProbe"]["httpGet"]["scheme"] == container["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert {one["name"]: one["mountPath"] for one in container["volumeMounts"]}["pyrotee-tls"] == DIR
    assert mounted(pod)["targets/central/tls.crt"] == ("own", "tls.crt")


def containers_of_the_test(chart, tls, **more):
    pods = [one for one in chart.objects({**LEAST, "tls": tls, **more}) if one["kind"] == "Pod"]
    return [one["name"] for pod in pods for one in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]]


def test_helm_test_does_what_its_certificates_allow(chart):
    assert containers_of_the_test(chart, {"listen": {"secretName": "own"}, "admin": MUTUAL}) == ["ready", "send"]
    assert containers_of_the_test(chart, {"listen": MUTUAL}) == ["ready"]
    assert containers_of_the_test(chart, {"listen": MUTUAL}, test={"clientSecretName": "mine"}) == ["ready", "send"]
    values = {**LEAST, "tls": {"listen": MUTUAL}, "adminService": {"enabled": False}}
    assert "Pod" not in {one["kind"] for one in chart.objects(values)}


def test_the_test_pod_gets_no_key_of_the_relay(chart):
    pod = find(chart.objects(values_of(CHART / "ci/tls-values.yaml")), "Pod")["spec"]
    assert [source for source in mounted(pod).values() if source[1] == "tls.key"] == [("test-client-tls", "tls.key")]


def test_with_a_config_map_of_your_own_the_secrets_are_mounted_and_probed(chart):
    objects = chart.objects({"image": IMAGE, "existingConfigMap": "mine", "tls": {"admin": MUTUAL, "targets": {"central": MUTUAL}}})
    assert {"admin/tls.crt", "targets/central/ca.crt"} <= set(mounted(pod_of(objects)))
    assert relay(find(objects, "Deployment"))["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
