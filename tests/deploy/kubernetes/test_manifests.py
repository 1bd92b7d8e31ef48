"""Clusters accept each manifest, its pods are restricted, and pyrotee accepts its configuration."""

import re
import subprocess

import pytest
import yaml
from kubernetes_validate import ValidationError

from loopback.processes import CREDENTIALS, ROOT
from manifests import DROP_IN, KUBERNETES, NATIVE, NEWEST, documents, one, pod_of, pyrotee_of, validate

# Every file with manifests, and the first version of Kubernetes that must accept it.
FILES = {
    KUBERNETES / "sidecar.yaml": NATIVE,
    KUBERNETES / "sidecar-legacy.yaml": "1.25",
    KUBERNETES / "relay.yaml": "1.30",
    KUBERNETES / "shared.yaml": "1.30",
    KUBERNETES / "examples/java/app.yaml": NATIVE,
    KUBERNETES / "examples/go/app.yaml": NATIVE,
    DROP_IN / "relay.yaml": "1.30",
    DROP_IN / "plain/pyroscope.yaml": "1.25",
    DROP_IN / "plain/direct.yaml": "1.25",
    DROP_IN / "plain/take-over.yaml": "1.25",
    DROP_IN / "plain/give-back.yaml": "1.25",
    DROP_IN / "helm/direct.yaml": "1.25",
}
NATIVE_FORMS = [
    KUBERNETES / name for name in ["sidecar.yaml", "examples/java/app.yaml", "examples/go/app.yaml"]
]
CONFIGURED = [*NATIVE_FORMS, *(KUBERNETES / n for n in ["sidecar-legacy.yaml", "relay.yaml", "shared.yaml"]), DROP_IN / "relay.yaml"]


def short(file):
    return str(file.relative_to(ROOT / "deploy"))


def workload(file):
    return next(d for d in documents(file) if d["kind"] in ("Deployment", "StatefulSet"))


@pytest.mark.parametrize("file", FILES, ids=short)
def test_clusters_from_the_first_version_to_the_newest_take_it(file):
    for version in {FILES[file], NEWEST}:
        for document in documents(file):
            validate(document, version)


def test_a_typing_error_and_a_field_that_is_too_new_are_found():
    pod = workload(KUBERNETES / "sidecar.yaml")
    with pytest.raises(ValidationError):
        validate(pod, "1.25")
    pyrotee_of(pod_of(pod))["startupprobe"] = {}
    with pytest.raises(ValidationError):
        validate(pod, NEWEST)


def test_all_files_are_held_by_a_test():
    others = {"kustomization.yaml", "workload.yaml", "cronjob.yaml", "pyrotee.yaml"}
    policies = {"kyverno.yaml", "mutatingadmissionpolicy.yaml"}
    patches = {DROP_IN / "helm/take-over.yaml", DROP_IN / "helm/give-back.yaml"}
    example = {KUBERNETES / "kustomize/example/app.yaml"}
    found = {*KUBERNETES.rglob("*.yaml"), *DROP_IN.rglob("*.yaml")}
    assert {f for f in found if f.name not in others | policies} == FILES.keys() | patches | example


def assert_restricted(pod):
    """Asserts the rules of the Pod Security Standard `restricted` that matter for these pods."""
    spec = pod["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    for volume in spec.get("volumes", []):
        assert set(volume) - {"name"} <= {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim"}
    for container in spec.get("initContainers", []) + spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context.get("runAsUser") != 0 and not context.get("privileged")
        assert not any("hostPort" in port for port in container.get("ports", []))


def assert_hardened(container):
    """Asserts further restrictions of pyrotee's own container."""
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["runAsUser"] == 65532
    assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]
    assert container["image"] == "pyrotee:0.1.0"
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
        if probe in container:
            port = container[probe]["httpGet"]["port"]
            number = {p["name"]: p["containerPort"] for p in container["ports"]}[port]
            assert number == 4041


@pytest.mark.parametrize("file", CONFIGURED, ids=short)
def test_it_meets_the_restricted_standard(file):
    pod = pod_of(workload(file))
    assert_restricted(pod)
    assert_hardened(pyrotee_of(pod))


@pytest.mark.parametrize("file", NATIVE_FORMS, ids=short)
def test_a_native_sidecar_is_there_before_the_app_and_ends_after_it(file):
    spec = pod_of(workload(file))["spec"]
    first = spec["initContainers"][0]
    assert first["name"] == "pyrotee" and first["restartPolicy"] == "Always"
    assert "startupProbe" in first
    # A hook would run beside that of the application; a readiness probe would take the application out of its Service.
    assert not {"lifecycle", "readinessProbe"} & first.keys()


def test_the_two_forms_of_the_sidecar_differ_in_their_place_alone():
    native = pyrotee_of(pod_of(workload(KUBERNETES / "sidecar.yaml")))
    legacy = pyrotee_of(pod_of(workload(KUBERNETES / "sidecar-legacy.yaml")))
    del native["restartPolicy"], native["startupProbe"]
    assert native == legacy


def effective(family, tmp_path, text, container):
    """The values that `pyrotee check --print` prints for a configuration, with the environment of the container."""
    file = tmp_path / "pyrotee.yaml"
    token = tmp_path / "token"
    token.write_text("from-the-pod")
    text = re.sub(r"\$\{file:/run/secrets/pyrotee/[^}]*\}", f"${{file:{token}}}", text)
    file.write_text(re.sub(r"(creds-file:) /run/secrets/pyrotee/\S+", rf"\1 {CREDENTIALS}", text))
    variables = container.get("env", [])
    names = [variable["name"] for variable in variables]
    environment = {name: "from-the-pod" for name in names} | {
        variable["name"]: variable["value"] for variable in variables if "value" in variable
    }
    command = [family.pyrotee, "check", "--print", *container["args"][1:]]
    command = [str(file) if part.startswith("/etc/pyrotee/") else part for part in command]
    # No other variables, so that a variable that the manifest lacks is a fault.
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return yaml.safe_load(run.stdout)


@pytest.mark.parametrize("file", CONFIGURED, ids=short)
def test_pyrotee_takes_the_configuration_and_it_fits_the_pod(family, tmp_path, file):
    found = documents(file)
    pod = pod_of(workload(file))
    container = pyrotee_of(pod)
    volume = next(v for v in pod["spec"]["volumes"] if v["name"] == "pyrotee")
    config = one(found, "ConfigMap", volume["configMap"]["name"])
    settings = effective(family, tmp_path, config["data"]["pyrotee.yaml"], container)
    fits(settings, container, pod)
    mounted = assert_changes_reach(container, pod)
    secret = one(found, "Secret")
    assert mounted == {"/etc/pyrotee": config["metadata"]["name"], "/run/secrets/pyrotee": secret["metadata"]["name"]}
    keys = re.findall(r"/run/secrets/pyrotee/([\w.-]+)", config["data"]["pyrotee.yaml"])
    assert set(keys) == set(secret["stringData"])
    # A variable of a running pod never changes.
    assert "secretKeyRef" not in str(container)


def assert_changes_reach(container, pod):
    """Asserts that Kubernetes updates the files of the relay: its ConfigMap and Secret are mounted as directories, as a whole.
    Returns the names of these objects by the path."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    found = {}
    for mount in container["volumeMounts"]:
        assert set(mount) == {"name", "mountPath", "readOnly"}, "no subPath"
        volume = volumes[mount["name"]]
        source = volume.get("configMap") or {"name": volume["secret"]["secretName"]}
        assert set(source) == {"name"}, "no items"
        found[mount["mountPath"]] = source["name"]
    return found


def mebibytes(text):
    number, unit = re.fullmatch(r"(\d+)([MG])iB?", text).groups()
    return int(number) * (1024 if unit == "G" else 1)


def fits(settings, container, pod):
    """Asserts that memory limit and grace period suffice, and that the relay listens where clients connect."""
    sidecar = settings["memory-limit"] == "24MiB"
    # The bound of docs/scaling.md.
    connections = 16 if sidecar else 1000
    need = 16 + 1.15 * mebibytes(settings["memory-limit"]) + connections * 160 / 1024
    assert need <= mebibytes(container["resources"]["limits"]["memory"])
    grace = int(settings["shutdown"]["grace"].removesuffix("s"))
    sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert grace + sleep + 10 <= pod["spec"]["terminationGracePeriodSeconds"]
    assert settings["listen"] == ("127.0.0.1:4040" if sidecar else ":4040")
    assert settings["admin"] == ":4041"


def test_the_sums_of_the_scaling_page_are_right():
    page = (ROOT / "docs/scaling.md").read_text()
    rows = re.findall(r"^\| (\d+)MiB \| (\d+) \| (yes|no) \| (\d+) MiB \| (\d+)Mi \|$", page, re.M)
    assert len(rows) == 5
    for limit, connections, spool, most, container in rows:
        need = 16 + 1.15 * int(limit) + 160 / 1024 * int(connections)
        need += min(64, int(limit) / 4) if spool == "yes" else 0
        assert round(need) == int(most) or int(need) == int(most)
        assert need < int(container)
    for rate, minutes, megabytes in re.findall(r"^\| ([\d.]+) MB/s[^|]*\| (\d+) min[^|]*\| (\d+) MB", page, re.M):
        assert float(rate) * (int(minutes) * 60 + 30) == pytest.approx(int(megabytes))


def test_the_examples_use_the_sdks_that_the_interop_tests_try():
    programs, examples = ROOT / "tests/interop/programs", KUBERNETES / "examples"
    for name in ["go.mod", "go.sum"]:
        ours, tried = ((folder / "go" / name).read_text() for folder in [examples, programs])
        assert re.sub(r"^module .*", "", ours) == re.sub(r"^module .*", "", tried)
    agent = re.search(r"<artifactId>agent</artifactId>\s*<version>([\d.]+)", (programs / "java/pom.xml").read_text())
    assert f"/agent/{agent[1]}/agent-{agent[1]}.jar" in (examples / "java/Dockerfile").read_text()
    variables = re.findall(r'"(PYROSCOPE_\w+)"', (ROOT / "tests/interop/java.rs").read_text())
    for variable in pod_of(workload(examples / "java/app.yaml"))["spec"]["containers"][0]["env"]:
        assert variable["name"] in [*variables, "JAVA_TOOL_OPTIONS"]
    main = (examples / "go/main.go").read_text()
    given = pod_of(workload(examples / "go/app.yaml"))["spec"]["containers"][0]["env"]
    assert set(re.findall(r'Getenv\("(\w+)"\)', main)) == {variable["name"] for variable in given}
