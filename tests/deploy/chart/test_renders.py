"""For every file in ci/: the render equals the golden one, is valid Kubernetes, meets the standard `restricted`, and the relay accepts its configuration."""

import base64
import os

import kubernetes_validate
import pytest
import yaml
from helm_python import chart as helm

from support import CI, CUSTOM, GOLDEN, KUBERNETES, VERSIONS, check, pod_specs, relay, secrets_of, supported, values_of

each = pytest.mark.parametrize("file", CI, ids=lambda path: path.name.removesuffix("-values.yaml"))


@each
def test_golden_render(chart, file):
    rendered = chart.render(values_of(file))
    paths = sorted(path for path in rendered if rendered[path].strip())
    text = "".join(f"# {path}\n{rendered[path].strip()}\n\n" for path in paths)
    golden = GOLDEN / f"{file.name.removesuffix('-values.yaml')}.yaml"
    if os.environ.get("PYROTEE_RENEW") == "1":
        golden.write_text(text)
    assert text == golden.read_text(), "if this is meant: PYROTEE_RENEW=1 make test-deploy DEPLOY=chart, and read the diff"


def test_there_are_no_golden_renders_of_other_files():
    names = {file.name.removesuffix("-values.yaml") for file in CI}
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == names


@each
def test_lint_is_strictly_clean(chart, file):
    report = helm.lint(chart.directory, values_of(file), strict=True, kube_version=f"v{KUBERNETES}")
    # Helm misses only an icon, which is reported as information.
    assert [one for one in report["messages"] if one["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize("version", VERSIONS)
@each
def test_valid_in_kubernetes(chart, file, version):
    if not supported(file, version):
        with pytest.raises(Exception, match="sidecar.native needs Kubernetes 1.29"):
            chart.render(values_of(file), f"{version}.0")
        return
    objects = chart.objects(values_of(file), f"{version}.0")
    for one in objects:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, version, strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, name in names)


@each
def test_fields_that_old_versions_do_not_know_are_absent_there(chart, file):
    if supported(file, "1.25"):
        text = str(chart.objects(values_of(file), "1.25.0"))
        assert "preStop" not in text and "persistentVolumeClaimRetentionPolicy" not in text
    # 1.29 knows the field, but its feature gate is off, and the API server refuses the empty hook that remains.
    assert "preStop" not in str(chart.objects(values_of(file), "1.29.5"))


def restricted(spec):
    """The violations of the Pod Security Standard `restricted` in a pod."""
    pod = spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= allowed:
            yield f"volume {volume['name']}"
    for container in spec.get("initContainers", []) + spec["containers"]:
        name, own = container["name"], container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{name}: privileges"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield f"{name}: capabilities"
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True or own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"{name}: root"
        if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccomp"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{name}: host port"


@each
def test_every_pod_is_restricted(chart, file):
    for name, spec in pod_specs(chart.objects(values_of(file))):
        known = {"daemonset-host-port-values.yaml": ["pyrotee: host port"], "host-network-values.yaml": ["hostNetwork"]}
        expected = [] if "test" in name else known.get(file.name, [])
        assert list(restricted(spec)) == expected, name
        assert spec["automountServiceAccountToken"] is False
        for container in spec.get("initContainers", []) + spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, container["name"]


@each
def test_secrets_and_the_configuration_may_change_while_the_relay_runs(chart, file):
    for name, spec in pod_specs(chart.objects(values_of(file))):
        if not name.endswith("-test"):
            refs = [one["secretRef"]["name"] for one in relay({"spec": {"template": {"spec": spec}}}).get("envFrom", []) if "secretRef" in one]
            assert secrets_of(spec) == refs, name


def test_a_pod_that_is_not_restricted_is_seen():
    bare = {"containers": [{"name": "a", "ports": [{"hostPort": 1}]}], "volumes": [{"name": "v", "hostPath": {}}]}
    assert len(list(restricted(bare))) == 6


@each
def test_the_relay_takes_the_configuration(chart, file, tmp_path):
    objects = chart.objects(values_of(file))
    files = [one for one in objects if one["kind"] == "ConfigMap" and "pyrotee.yaml" in one.get("data", {})]
    if file.name == "existing-values.yaml":
        assert files == []
        text = "upstream: { address: http://pyroscope:4040 }\n"
    else:
        text = files[0]["data"]["pyrotee.yaml"]
    environment = {"POD_NAME": "rel-0", "POD_NAMESPACE": "profiling", "NODE_NAME": "node-1"}
    for secret in (one for one in objects if one["kind"] == "Secret"):
        environment |= {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    flags = []
    for one in objects:
        if one["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}:
            environment |= {e["name"]: e["value"] for e in relay(one)["env"] if "value" in e}
            run, option, path, *flags = relay(one)["args"]
            assert (run, option, path.rpartition("/")[0]) == ("run", "--config", "/etc/pyrotee")
    environment.pop("SSL_CERT_FILE", None)
    answer = check(tmp_path, text, environment, flags)
    assert answer.returncode == 0, answer.stderr
    if file.name == "existing-values.yaml":
        assert 'dir: "/var/lib/pyrotee/spool"' in answer.stdout
    if file.name == "central-values.yaml":
        assert "max-bytes: 1638MiB" in answer.stdout and 'tenant-id: "0404"' in text


def test_the_relay_refuses_what_is_wrong(tmp_path):
    answer = check(tmp_path, yaml.safe_dump({"memory-limit": "much"}))
    assert answer.returncode == 2 and "memory-limit" in answer.stderr
