"""A mistake in the values fails when the chart is rendered, and the message says what to write instead."""

import shutil

import pytest
from helm_python.errors import HelmError

from support import CI, IMAGE, Chart, set_path, values_of

GOOD = {
    "image": IMAGE,
    "config": {
        "upstream": {"address": "http://pyroscope:4040"},
        "remote-write": {"enabled": True, "targets": {"central": {"address": "https://profiles.example.com"}}},
    }
}
TARGET = "config.remote-write.targets.central"

# Values that values.schema.json refuses: the keys that are set, and a part of the message.
CLOSED = [
    ({"mode": "sidecart"}, "'deployment', 'statefulset', 'daemonset', 'sidecar'"),
    ({"replicass": 2}, "additional properties 'replicass' not allowed"),
    ({"replicas": "2"}, "got string, want integer"),
    ({"replicas": -1}, "/replicas"),
    ({"image.digest": "0123"}, "/image/digest"),
    ({"image.pullPolicy": "Sometimes"}, "/image/pullPolicy"),
    ({"config.memory_limit": "1MiB"}, "additional properties 'memory_limit' not allowed"),
    ({"config.upstream.url": "http://a"}, "additional properties 'url' not allowed"),
    ({f"{TARGET}.token": "x"}, "additional properties 'token' not allowed"),
    ({"config.remote-write.targets": {"a b": {"address": "http://a"}}}, "'a b' does not match pattern"),
    ({f"{TARGET}.tags": {"a": ["b"]}}, "/tags/a"),
    ({"secrets.values": {"1A": "x"}}, "does not match pattern"),
    ({"secrets.values": {"A": 5}}, "got number, want string"),
    ({"spool.volume": "hostPath"}, "'none', 'emptyDir', 'claim'"),
    ({"spool.size": "2 GB"}, "/spool/size"),
    ({"spool.whenScaled": "retain"}, "'Retain', 'Delete'"),
    ({"probes.readiness.httpGet": {}}, "additional properties 'httpGet' not allowed"),
    ({"service.type": "ExternalName"}, "/service/type"),
    ({"service.port": 70000}, "/service/port"),
    ({"adminService.type": "LoadBalancer"}, "additional properties 'type' not allowed"),
    ({"ingress.hosts": ["a.example.com"]}, "got string, want object"),
    ({"monitoring.serviceMonitor.jobLabel": "x"}, "additional properties 'jobLabel' not allowed"),
    ({"monitoring.rules.runbookBaseUrl": "docs/runbook"}, "/monitoring/rules/runbookBaseUrl"),
    ({"autoscaling.minReplicas": 0}, "/autoscaling/minReplicas"),
    ({"resources.limits": {"memory": "lots"}}, "/resources/limits/memory"),
    ({"extraEnv": {"A": "b"}}, "got object, want array"),
    ({"tls.listen.clientAuth": "always"}, "'none', 'request', 'require'"),
    ({"tls.listen.secretname": "a"}, "additional properties 'secretname' not allowed"),
    ({"tls.upstream.clientAuth": "require"}, "additional properties 'clientAuth' not allowed"),
    ({"tls.targets": {"central": "a"}}, "/tls/targets/central"),
    ({"config.listen-tls": {"ca-file": "/a"}}, "additional properties 'ca-file' not allowed"),
    ({f"{TARGET}.tls": {"client-ca-file": "/a"}}, "additional properties 'client-ca-file' not allowed"),
]

ADMIN_TLS = {"cert-file": "/a", "key-file": "/b"}
NATS = {"servers": ["tls://nats:4222"]}
MUTUAL = {"secretName": "a", "caSecretName": "a"}

# Values that the templates refuse.
FAULTS = [
    ({"config.upstream": {}}, "config.upstream.address is missing; name your Pyroscope, such as http://pyroscope.profiling.svc:4040"),
    ({"config.remote-write.targets": {}}, "add a target, or set enabled to false"),
    ({TARGET: {"timeout": "1s"}}, "remote-write.targets.central.address is missing; write http://HOST"),
    ({"fullnameOverride": "pyroscope"}, "the Service of this release itself"),
    ({"config.upstream.address": "http://rel-pyrotee.profiling.svc.cluster.local.:4040"}, "the Service of this release itself"),
    ({f"{TARGET}.address": "http://rel-pyrotee"}, "config.remote-write.targets.central.address is rel-pyrotee"),
    ({"existingConfigMap": "mine"}, "config.remote-write would not be read"),
    ({"image.registry": ""}, "image.registry is empty, and no image of pyrotee is published; build one"),
    ({"mode": "sidecar", "image.registry": ""}, "and name its registry, such as registry.example.com"),
    ({"replicaCount": 2}, "replicaCount is no value of this chart; did you mean replicas?"),
    ({"image.pullpolicy": "Always"}, "image.pullpolicy is no value of this chart; did you mean image.pullPolicy?"),
    ({"upstream": {"address": "http://a"}}, "did you mean config.upstream?"),
    ({"secrets.TOKEN": "a"}, "secrets.TOKEN is no value of this chart; did you mean secrets.values.TOKEN?"),
    ({"config.admin-token": "abc"}, "config.admin-token would stand readable in a ConfigMap; write ${file:/run/secrets/pyrotee/NAME}"),
    ({f"{TARGET}.auth-token": "abc"}, "auth-token would stand readable in a ConfigMap; write ${file:/run/secrets/pyrotee/NAME}"),
    ({f"{TARGET}.basic-auth-password": "abc"}, "basic-auth-password would stand readable"),
    ({f"{TARGET}.headers": {"authorization": "Bearer abc"}}, "headers.authorization would stand readable in a ConfigMap; write ${file:"),
    ({f"{TARGET}.headers": {"X-API-Key": "abc"}}, "headers.X-API-Key would stand readable"),
    ({f"{TARGET}.headers": {"Cookie": "$${A}"}}, "headers.Cookie would stand readable"),
    ({f"{TARGET}.headers": {"X-Vault-Token": 5}}, "headers.X-Vault-Token would stand readable"),
    ({"extraEnv": [{"name": "CENTRAL_TOKEN", "value": "abc"}]}, "extraEnv has the value of CENTRAL_TOKEN, which would stand readable in the pod"),
    ({f"{TARGET}.address": "https://me:secret@a"}, "address holds a password"),
    ({f"{TARGET}.auth-token": "${TOKEN}"}, "uses ${TOKEN}, which nothing sets; add TOKEN to secrets.values or extraEnv"),
    ({f"{TARGET}.auth-token": "${file:/run/secrets/pyrotee/TOKEN}"}, "a file that no Secret has; add TOKEN to secrets.values"),
    ({f"{TARGET}.auth-token": "${file:/run/secrets/pyrotee/A}", "secrets.values": {"B": "x"}}, "a file that no Secret has; add A to"),
    ({"restartOnChange": "yes"}, "got string, want boolean"),
    ({"spool.volume": "claim"}, "set mode: statefulset, which makes one for each relay"),
    ({"mode": "daemonset", "spool.volume": "claim"}, "set spool.volume: emptyDir"),
    ({"mode": "sidecar", "spool.volume": "claim"}, "set spool.volume: emptyDir"),
    ({"spool.volume": "claim", "spool.existingClaim": "a", "replicas": 2}, "a spool belongs to one relay; set replicas: 1"),
    ({"mode": "statefulset", "spool.existingClaim": "a", "replicas": 2}, "a spool belongs to one relay"),
    ({"spool.existingClaim": "a"}, "set spool.volume: claim, or remove spool.existingClaim"),
    ({"config.spool": {"dir": "/spool"}}, "on the read-only root of the container"),
    ({"mode": "statefulset", "config.spool": {"dir": "/spool"}}, "mounted at /var/lib/pyrotee"),
    ({"mode": "statefulset", "config.spool": {"max-bytes": "2GiB"}}, "more than nineteen twentieths of spool.size (2Gi)"),
    ({"mode": "statefulset", "config.dead-letters": {"max-bytes": "1GiB"}}, "more than nineteen twentieths of spool.size (2Gi)"),
    ({"config.dead-letters": {"dir": "/dead"}}, "config.dead-letters.dir is /dead, on the read-only root"),
    ({"mode": "statefulset", "config.dead-letters": {"dir": "/dead"}}, "remove it, or write a folder below that"),
    ({"config.listen": "4040"}, "config.listen is 4040, in which no port can be read; write it as :4040"),
    ({"config.admin": ":0"}, "config.admin is :0, in which no port can be read; write it as :4041"),
    ({"config.listen": "127.0.0.1:4040"}, "no Service can reach; write :4040"),
    ({"mode": "sidecar", "config.admin": "localhost:4041"}, "the probes of Kubernetes cannot reach; write :4041"),
    ({"config.admin": ":4040"}, "have the same port, 4040"),
    ({"resources.limits": {"memory": "300Mi"}}, "the relay may take 311Mi: it would be killed; lower config.memory-limit"),
    ({"resources": {"limits": {"memory": "400Mi"}, "requests": {"memory": "1Gi"}}}, "resources.requests.memory (1Gi) is above"),
    ({"terminationGracePeriodSeconds": 30}, "write more than 30, remove it, or lower config.shutdown.grace"),
    ({"terminationGracePeriodSeconds": 35, "config.shutdown": {"grace": "0.5m"}}, "write more than 35"),
    ({"mode": "sidecar", "ingress.enabled": True}, "ingress is on, and in mode sidecar the pod is the application's"),
    ({"mode": "sidecar", "networkPolicy.enabled": True}, "networkPolicy is on, and in mode sidecar"),
    ({"mode": "sidecar", "autoscaling.external": True}, "autoscaling is on, and in mode sidecar"),
    ({"mode": "sidecar", "monitoring.serviceMonitor.enabled": True}, "use monitoring.podMonitor"),
    ({"daemonset.hostPort": 4040}, "set mode: daemonset, or remove it"),
    ({"autoscaling.enabled": True, "autoscaling.external": True}, "two autoscalers would scale one workload"),
    ({"autoscaling.enabled": True, "mode": "daemonset"}, "a DaemonSet has one relay on each node"),
    ({"autoscaling.enabled": True, "autoscaling.minReplicas": 9}, "above autoscaling.maxReplicas"),
    ({"autoscaling.enabled": True, "autoscaling.targetCPUUtilizationPercentage": None}, "has no metric"),
    ({"autoscaling.enabled": True, "resources.requests": {"cpu": None}}, "set resources.requests.cpu"),
    ({"replicas": 3, "podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}, "are both set, and Kubernetes takes one of them"),
    ({"replicas": 3, "podDisruptionBudget": {"minAvailable": 3}}, "no node could be drained; set minAvailable to at most 2"),
    ({"replicas": 2, "podDisruptionBudget": {"minAvailable": "100%"}}, "no node could be drained"),
    ({"replicas": 2, "podDisruptionBudget": {"maxUnavailable": 0}}, "or maxUnavailable to at least 1"),
    ({"mode": "daemonset", "hostNetwork": True, "daemonset.hostPort": 80}, "listens at port 4040 of the node itself"),
    ({"hostNetwork": True, "networkPolicy.enabled": True}, "has no effect on pods with hostNetwork"),
    ({"mode": "sidecar", "hostNetwork": True}, "hostNetwork is on, and in mode sidecar"),
    ({"ingress.enabled": True}, "name a host, such as {host: profiles.example.com}"),
    ({"httpRoute.enabled": True}, "name your Gateway, such as {name: gateway}"),
    ({"monitoring.serviceMonitor.enabled": True, "adminService.enabled": False}, "turn it on, or use monitoring.podMonitor"),
    ({"monitoring.serviceMonitor.enabled": True, "monitoring.podMonitor.enabled": True}, "every relay would be scraped twice"),
    ({"config.log": {"level": "{{ .Values.nothing.at.all }}"}}, "nil pointer"),
    ({"tls.listen.clientAuth": "none"}, "tls.listen has no certificate for the port; name the Secret with tls.crt and tls.key in tls.listen.secretName"),
    ({"tls.admin.caSecretName": "a"}, "tls.admin has no certificate for the port"),
    ({"tls.listen": {"secretName": "a", "clientAuth": "request"}}, "clientAuth is request, and no authority verifies the certificates of clients; name a Secret"),
    ({"tls.admin": {"secretName": "a", "caSecretName": "a", "clientAuth": "none"}}, "tls.admin.clientAuth is none, and tls.admin.caSecretName names authorities"),
    ({"tls.targets": {"elsewhere": {"secretName": "a"}}}, "tls.targets.elsewhere belongs to no part of config; add config.remote-write.targets.elsewhere"),
    ({"tls.targets": {"central": {}}}, "tls.targets.central names no Secret; set secretName"),
    ({f"{TARGET}.address": "http://a", "tls.targets": {"central": {"secretName": "a"}}}, "targets.central.address is http://, which is never encrypted"),
    ({"tls.upstream.caSecretName": "a"}, "tls.upstream is set, and config.upstream.address is http://"),
    ({"tls.secretName": "a"}, "tls.secretName is no value of this chart; did you mean tls.listen.secretName?"),
    ({"config.admin-tls": ADMIN_TLS, "monitoring.podMonitor.enabled": True}, "cannot verify it with an empty monitoring.podMonitor.tlsConfig"),
    ({"tls.admin": MUTUAL, "monitoring.serviceMonitor.enabled": True}, "monitoring.serviceMonitor.tlsConfig has none for Prometheus; write {cert:"),
    ({"shared.credsSecretName": "a"}, "config.shared.servers names no server; add the servers of NATS"),
    ({"shared.credsSecretName": "a", "config.shared": {**NATS, "auth": {"nkey-file": "/a"}}}, "is one way to log in at NATS, and config.shared.auth has another"),
    ({"config.shared": {**NATS, "auth": {"token": "abc"}}}, "config.shared.auth.token would stand readable"),
    ({"config.shared": {**NATS, "auth": {"user": "a", "password": "abc"}}}, "config.shared.auth.password would stand readable"),
    ({"config.shared": NATS, "config.spool": {"max-bytes": "1GiB"}}, "config.shared and config.spool exclude each other"),
    ({"config.shared": {**NATS, "drain-spool": "/spool"}}, "config.shared.drain-spool is /spool, on the read-only root"),
    ({"tls.shared.caSecretName": "a"}, "tls.shared belongs to no part of config; add config.shared, or correct its name"),
    ({"test.clientSecretName": "a"}, "set tls.listen.secretName, or remove it"),
]


def applied(changes):
    values = GOOD
    for path, value in changes.items():
        values = set_path(values, path, value)
    return values


@pytest.mark.parametrize(("changes", "message"), CLOSED + FAULTS, ids=lambda one: str(one)[:60])
def test_mistakes_name_their_remedy(chart, changes, message):
    with pytest.raises(HelmError) as failure:
        chart.render(applied(changes))
    assert message in str(failure.value)


def test_without_a_mistake_it_renders(chart):
    assert chart.render(GOOD)


def test_all_faults_are_told_at_once(chart):
    with pytest.raises(HelmError) as failure:
        chart.render(applied({"config.listen": "4040", f"{TARGET}.auth-token": "abc", "ingress.enabled": True}))
    assert str(failure.value).count("\n- ") == 3


def test_an_existing_config_map_hides_the_ports_from_the_policy(chart):
    values = {"image": IMAGE, "existingConfigMap": "mine", "networkPolicy": {"enabled": True, "egress": {"enabled": True}}}
    with pytest.raises(HelmError, match="write the rules into networkPolicy.egress.extra"):
        chart.render(values)


@pytest.mark.parametrize(("folder", "switch"), [("rules", "rules"), ("dashboards", "dashboards")])
def test_missing_files_are_told(chart_dir, tmp_path, folder, switch):
    copy = tmp_path / "pyrotee"
    shutil.copytree(chart_dir, copy, ignore=shutil.ignore_patterns(folder))
    values = applied({f"monitoring.{switch}.enabled": True})
    with pytest.raises(HelmError, match=f"this chart has no {folder}/"):
        Chart(copy).render(values)


def test_what_a_parent_chart_adds_is_no_mistake(chart):
    assert chart.render({**GOOD, "enabled": True, "global": {"anything": {"at": "all"}}})


@pytest.mark.parametrize("word", ["POD_NAME", "NODE_NAME", "HOSTNAME", "OURS", "KUBERNETES_SERVICE_HOST"])
def test_variables_that_are_set_may_be_used(chart, word):
    changes = {f"{TARGET}.tags": {"a": "${%s}" % word, "b": "${B:-x}", "c": "$${C}"}, "extraEnv": [{"name": "OURS", "value": "1"}]}
    assert chart.render(applied(changes))


def test_files_of_secrets_may_be_used(chart):
    token = {f"{TARGET}.auth-token": "${file:/run/secrets/pyrotee/TOKEN}"}
    assert chart.render(applied({**token, "secrets.values": {"TOKEN": "x"}}))
    assert chart.render(applied({**token, "secrets.existing": ["mine"]}))
    assert chart.render(applied({f"{TARGET}.auth-token": "${file:/run/secrets/vault/token}"}))


def test_an_unquoted_on_is_what_people_mean(chart, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text("image: { registry: a }\nconfig: { upstream: { address: http://a }, tee: { on: upstream-success } }\n")
    assert '"on": upstream-success' in chart.render(values_of(file))["pyrotee/templates/configmap.yaml"]


@pytest.mark.parametrize("header", ["X-Scope-OrgID", "X-Region", "X-Tokens-Left", "Secretariat"])
def test_headers_without_a_secret_may_be_clear(chart, header):
    assert chart.render(applied({f"{TARGET}.headers": {header: "eu"}}))


def test_a_secret_of_a_variable_or_file_may_be_used(chart):
    changes = {
        f"{TARGET}.headers": {"Authorization": "Bearer ${A}", "X-Api-Key": "${file:/run/secrets/vault/key}"},
        "extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "a"}}}],
    }
    assert chart.render(applied(changes))


def test_a_registry_of_all_charts_will_do(chart):
    assert chart.render({**GOOD, "image": {}, "global": {"imageRegistry": "registry.example.com"}})


def test_the_examples_are_there():
    assert len(CI) >= 15
