"""The effect of each mode and option, whatever the text of the render."""

import shutil

import pytest
import yaml

from support import CHART, CI, IMAGE, Chart, find, kinds, relay, secrets_of, set_path, values_of

LEAST = {"image": IMAGE, "config": {"upstream": {"address": "http://pyroscope:4040"}}}


def ci(name):
    return values_of(CHART / f"ci/{name}-values.yaml")


def test_the_deployment_is_never_away(chart):
    objects = chart.objects(LEAST)
    spec = find(objects, "Deployment")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert "PodDisruptionBudget" not in kinds(objects)
    pod = spec["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 35
    container = relay(find(objects, "Deployment"))
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert container["startupProbe"]["httpGet"] == container["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "pyrotee-admin"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "pyrotee-admin"}
    assert container["resources"] == {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "311Mi"}}


def test_a_deployment_on_a_claim_waits_for_the_lock(chart):
    values = {**LEAST, "spool": {"volume": "claim", "existingClaim": "mine"}}
    spec = find(chart.objects(values), "Deployment")["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    assert {"name": "pyrotee-spool", "persistentVolumeClaim": {"claimName": "mine"}} in spec["template"]["spec"]["volumes"]


def test_a_statefulset_has_a_claim_for_each_relay(chart):
    objects = chart.objects({**LEAST, "mode": "statefulset"})
    spec = find(objects, "StatefulSet")["spec"]
    claim = spec["volumeClaimTemplates"][0]
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert claim["metadata"]["labels"] == {"app.kubernetes.io/name": "pyrotee", "app.kubernetes.io/instance": "rel"}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert {"name": claim["metadata"]["name"], "mountPath": "/var/lib/pyrotee"} in relay(find(objects, "StatefulSet"))["volumeMounts"]
    headless = find(objects, "Service", spec["serviceName"])
    assert headless["spec"]["clusterIP"] == "None"
    file = find(objects, "ConfigMap")["data"]["pyrotee.yaml"]
    assert "dir: /var/lib/pyrotee/spool" in file and "max-bytes: 1638MiB" in file


def test_an_upgrade_changes_nothing_that_kubernetes_refuses(chart, chart_dir, tmp_path):
    younger = tmp_path / "pyrotee"
    shutil.copytree(chart_dir, younger)
    file = younger / "Chart.yaml"
    file.write_text(file.read_text().replace("0.1.0", "0.2.0"))
    for name in ("statefulset", "central"):
        before, after = (find(one.objects(ci(name)), "StatefulSet") for one in (chart, Chart(younger)))
        assert before["metadata"]["labels"] != after["metadata"]["labels"]
        for key in ("volumeClaimTemplates", "selector", "serviceName", "podManagementPolicy"):
            assert before["spec"][key] == after["spec"][key]


def test_a_daemonset_serves_its_own_node(chart):
    objects = chart.objects({**LEAST, "mode": "daemonset"})
    assert find(objects, "Service", "rel-pyrotee")["spec"]["internalTrafficPolicy"] == "Local"
    assert "replicas" not in find(objects, "DaemonSet")["spec"]
    assert "hostPort" not in relay(find(objects, "DaemonSet"))["ports"][0]
    exposed = relay(find(chart.objects(ci("daemonset-host-port")), "DaemonSet"))
    assert [port.get("hostPort") for port in exposed["ports"]] == [4040, None]


def test_the_admin_port_has_its_own_service_and_no_ingress(chart):
    objects = chart.objects(ci("exposed"))
    assert [one["targetPort"] for one in find(objects, "Service", "rel-pyrotee")["spec"]["ports"]] == ["pyrotee"]
    admin = find(objects, "Service", "rel-pyrotee-admin")["spec"]
    assert (admin["type"], [one["targetPort"] for one in admin["ports"]]) == ("ClusterIP", ["pyrotee-admin"])
    for rule in find(objects, "Ingress")["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"] == {"name": "rel-pyrotee", "port": {"name": "http"}}
    assert [one.get("containerPort") for one in relay(find(objects, "Deployment"))["ports"]] == [8080, 8081]


def admin_hosts(chart, values):
    objects = chart.objects(values)
    file = find(objects, "ConfigMap", "rel-pyrotee")["data"]["pyrotee.yaml"]
    return yaml.safe_load(file).get("admin-hosts")


def test_the_relay_answers_to_the_names_of_its_admin_services(chart):
    admin = "rel-pyrotee-admin.profiling"
    assert admin_hosts(chart, LEAST) == admin
    own = set_path(LEAST, "config.admin-hosts", "relay.example.com, *.corp.example")
    assert admin_hosts(chart, own) == f"relay.example.com, *.corp.example, {admin}"
    assert admin_hosts(chart, set_path(LEAST, "adminService.enabled", False)) is None
    stateful = set_path(LEAST, "mode", "statefulset")
    assert admin_hosts(chart, stateful) == f"{admin}, *.rel-pyrotee-headless.profiling"


def template(chart, values):
    return find(chart.objects(values), "Deployment")["spec"]["template"]


TARGET = {"address": "https://a", "tags": {"a": "1"}}
CHANGES = {
    "config.remote-write": {"enabled": True, "targets": {"central": TARGET}},
    "config.tee": {"max-body": "1MiB"},
    "config.log": {"level": "debug"},
    "config.reload": {"interval": "1s"},
    "secrets.values": {"A": "2"},
}


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_of_the_configuration_restarts_pods_only_on_request(chart, path):
    before = set_path(LEAST, "secrets.values", {"A": "1"})
    assert template(chart, before) == template(chart, set_path(before, path, CHANGES[path]))
    anew = set_path(before, "restartOnChange", True)
    assert template(chart, anew) == template(chart, anew)
    assert template(chart, anew) != template(chart, set_path(anew, path, CHANGES[path]))


@pytest.mark.parametrize(
    ("path", "value"), [("config.listen", ":8080"), ("config.admin", ":8081"), ("config.memory-limit", "1GiB"), ("config.shutdown", {"grace": "1m"})]
)
def test_keys_that_change_the_pod_restart_it(chart, path, value):
    assert template(chart, LEAST) != template(chart, set_path(LEAST, path, value))


def test_annotations_of_both_kinds_stand_together(chart):
    both = template(chart, ci("extras"))["metadata"]["annotations"]
    assert set(both) == {"checksum/pyrotee", "example.com/release"}
    assert "annotations" not in template(chart, LEAST)["metadata"]


def test_each_secret_is_a_part_of_one_directory(chart):
    values = {**LEAST, "secrets": {"values": {"A": "1"}, "existing": ["{{ .Release.Name }}-mine", "second"]}}
    assert secrets_of(template(chart, values)["spec"]) == ["rel-pyrotee", "rel-mine", "second"]
    assert secrets_of(template(chart, LEAST)["spec"]) == []


def test_the_secret_in_an_address_does_not_hide_its_port(chart):
    values = set_path(LEAST, "config.remote-write", {"enabled": True, "targets": {"a": {"address": "https://me:${file:/run/secrets/pyrotee/A}@a.example.com:8443/b"}}})
    values |= {"secrets": {"values": {"A": "1"}}, "networkPolicy": {"enabled": True, "egress": {"enabled": True}}}
    spec = find(chart.objects(values), "NetworkPolicy")["spec"]
    assert [port["port"] for port in spec["egress"][1]["ports"]] == [8443, 4040]


@pytest.mark.parametrize(
    ("limit", "spool", "expected"),
    [("24MiB", False, "64Mi"), ("256MiB", False, "311Mi"), ("1GiB", False, "1194Mi"), ("64MB", False, "87Mi"), ("256MiB", True, "375Mi"), (67108864, False, "90Mi")],
)
def test_the_memory_limit_follows_the_relays(chart, limit, spool, expected):
    values = set_path(LEAST, "config.memory-limit", limit)
    values["mode"] = "statefulset" if spool else "deployment"
    workload = find(chart.objects(values), "StatefulSet" if spool else "Deployment")
    assert relay(workload)["resources"]["limits"]["memory"] == expected


@pytest.mark.parametrize(
    ("size", "spool", "letters"), [("2Gi", "1638MiB", "64MiB"), ("64Mi", "51MiB", "3MiB"), ("16Mi", "12MiB", "0"), ("1G", "762MiB", "47MiB")]
)
def test_what_lies_on_the_volume_follows_its_size(chart, size, spool, letters):
    values = {**LEAST, "mode": "statefulset", "spool": {"size": size}}
    file = yaml.safe_load(find(chart.objects(values), "ConfigMap")["data"]["pyrotee.yaml"])
    assert (file["spool"]["max-bytes"], file["dead-letters"]["max-bytes"]) == (spool, letters)


@pytest.mark.parametrize(("grace", "seconds"), [("0", 10), ("300ms", 11), ("1.5s", 12), ("1m30s", 100), ("1h", 3610)])
def test_the_time_to_stop_follows_the_relays(chart, grace, seconds):
    values = set_path(LEAST, "config.shutdown", {"grace": grace})
    pod = find(chart.objects(values), "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == seconds


def test_replicas_are_left_to_whoever_scales(chart):
    for name, kind in (("autoscaling", "Deployment"), ("autoscaling-external", "StatefulSet")):
        objects = chart.objects(ci(name))
        assert "replicas" not in find(objects, kind)["spec"]
        assert find(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    target = find(chart.objects(ci("autoscaling")), "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "rel-pyrotee"}
    assert "HorizontalPodAutoscaler" not in kinds(chart.objects(ci("autoscaling-external")))


def test_no_budget_for_a_single_relay(chart):
    assert "PodDisruptionBudget" not in kinds(chart.objects({**LEAST, "replicas": 1}))
    assert "PodDisruptionBudget" in kinds(chart.objects({**LEAST, "replicas": 2}))


@pytest.mark.parametrize(("budget", "field"), [({}, "maxUnavailable"), ({"minAvailable": 1}, "minAvailable"), ({"maxUnavailable": "50%"}, "maxUnavailable")])
def test_a_budget_has_one_of_its_two_bounds(chart, budget, field):
    spec = find(chart.objects({**LEAST, "replicas": 2, "podDisruptionBudget": budget}), "PodDisruptionBudget")["spec"]
    assert set(spec) == {"selector", field}
    assert spec[field] == budget.get(field, 1)


def test_pods_on_the_network_of_their_node_still_find_services(chart):
    objects = chart.objects(ci("host-network"))
    spec = find(objects, "Deployment")["spec"]
    assert spec["template"]["spec"]["hostNetwork"] is True
    # Two pods on a node would need the same port.
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    for kind in ("Deployment", "DaemonSet"):
        values = {**LEAST, "mode": kind.lower(), "hostNetwork": True}
        pod = find(chart.objects(values), kind)["spec"]["template"]["spec"]
        assert pod["dnsPolicy"] == "ClusterFirstWithHostNet"
        chosen = find(chart.objects({**values, "dnsPolicy": "None"}), kind)["spec"]["template"]["spec"]
        assert chosen["dnsPolicy"] == "None"
    assert not {"hostNetwork", "dnsPolicy", "schedulerName"} & set(find(chart.objects(LEAST), "Deployment")["spec"]["template"]["spec"])


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_has_annotations_that_its_pods_have_not(chart, kind):
    workload = find(chart.objects({**LEAST, "mode": kind.lower(), "workloadAnnotations": {"a": "{{ .Release.Name }}"}}), kind)
    assert workload["metadata"]["annotations"] == {"a": "rel"}
    assert "annotations" not in workload["spec"]["template"]["metadata"]


@pytest.mark.parametrize("name", [file.name.removesuffix("-values.yaml") for file in CI])
def test_every_object_is_in_the_namespace_of_the_override(chart, name):
    values = {key: value for key, value in ci(name).items() if key != "extraObjects"}
    objects = chart.objects({**values, "namespaceOverride": "elsewhere"})
    assert {one["metadata"]["namespace"] for one in objects} == {"elsewhere"}
    for service in (one["metadata"]["name"] for one in objects if one["kind"] == "Service"):
        assert f"{service}.profiling" not in str(objects)


def test_names_and_notes_follow_the_override(chart):
    values = {**LEAST, "namespaceOverride": "elsewhere"}
    assert admin_hosts(chart, values) == "rel-pyrotee-admin.elsewhere"
    notes = chart.notes(values)
    assert "http://rel-pyrotee.elsewhere.svc:4040" in notes and "kubectl --namespace elsewhere port-forward" in notes
    # Helm itself knows the release by its own namespace.
    assert notes.count("profiling") == 1 and "helm test rel --namespace profiling" in notes


def test_claims_have_annotations_and_labels(chart):
    claim = find(chart.objects(ci("statefulset")), "StatefulSet")["spec"]["volumeClaimTemplates"][0]["metadata"]
    assert claim["annotations"] == {"k8up.io/backup": "false"}
    assert claim["labels"] == {"app.kubernetes.io/name": "pyrotee", "app.kubernetes.io/instance": "rel", "team": "observability"}


def test_a_spread_without_selector_means_these_pods(chart):
    pod = find(chart.objects(ci("in-front")), "Deployment")["spec"]["template"]
    selector = pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    assert selector.items() <= pod["metadata"]["labels"].items()
    mine = find(chart.objects(ci("extras")), "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"][0]
    assert mine["labelSelector"] == {"matchLabels": {"mine": "true"}}


def test_the_policy_opens_what_is_used(chart):
    spec = find(chart.objects(ci("network-policy")), "NetworkPolicy")["spec"]
    assert [[port["port"] for port in rule["ports"]] for rule in spec["egress"]] == [[53, 53], [9000, 443, 4040], [8080]]
    assert [[port["port"] for port in rule["ports"]] for rule in spec["ingress"]] == [[4040], [4041], [4040, 4041]]
    tested = spec["ingress"][2]["from"][0]["podSelector"]["matchLabels"]
    assert tested == find(chart.objects(ci("network-policy")), "Pod")["metadata"]["labels"]


def test_helm_test_asks_and_sends(chart):
    objects = chart.objects(LEAST)
    pod = find(objects, "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    [ready], [send] = pod["spec"]["initContainers"], pod["spec"]["containers"]
    assert ready["args"] == ["healthcheck", "--admin", "http://rel-pyrotee-admin:4041"]
    assert send["args"][:3] == ["send", "--to", "http://rel-pyrotee:4040"]
    assert ready["image"] == send["image"] == relay(find(objects, "Deployment"))["image"]
    # The Service must not select the test pod, or it would send profiles there.
    selector = find(objects, "Service", "rel-pyrotee")["spec"]["selector"]
    assert not selector.items() <= pod["metadata"]["labels"].items()


def test_the_selectors_find_the_pods(chart):
    for name in ("deployment", "statefulset", "daemonset", "extras"):
        objects = chart.objects(ci(name))
        workload = next(one for one in objects if one["kind"] in {"Deployment", "StatefulSet", "DaemonSet"})
        labels = workload["spec"]["template"]["metadata"]["labels"].items()
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels
        for service in (one for one in objects if one["kind"] == "Service"):
            assert service["spec"]["selector"].items() <= labels


def test_the_notes_say_what_comes_next(chart):
    notes = chart.notes(ci("in-front"))
    assert "http://pyroscope.profiling.svc:4040" in notes
    assert "relays them to http://pyroscope-server.profiling.svc:4040 and sends them to 1 target(s)" in notes
    assert "helm test rel --namespace profiling --logs" in notes
    assert "service/pyroscope-admin 4041:4041" in notes
    assert "exec deployment/pyroscope --container pyrotee -- pyrotee status" in notes
    assert "within about a minute" in notes and "preStop" not in notes
    assert "kubectl --namespace profiling rollout restart deployment/pyroscope" in notes
    assert "restarts them as well" not in notes and "restarts them as well" in chart.notes(ci("extras"))
    assert "A change of your ConfigMap," in chart.notes(ci("existing"))
    hidden = set_path(LEAST, "config.upstream.address", "http://me:${file:/run/secrets/vault/a}@pyroscope:4040")
    assert "relays them to http://pyroscope:4040 and" in chart.notes(hidden)
    assert "refused connections" in chart.notes(ci("in-front"), "1.28.0")
    assert "stay there until the relay runs again" in chart.notes(ci("autoscaling-external"))
    assert "--selector pyrotee-sidecar=rel-pyrotee" in chart.notes(ci("sidecar"))
    assert "rollout restart KIND/NAME" in chart.notes(ci("sidecar"))
