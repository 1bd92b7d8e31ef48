"""Kustomize and the policies add the sidecar of sidecar.yaml to pods, and nothing else."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from loopback.processes import ROOT
from manifests import KUBERNETES, NATIVE, NEWEST, documents, kustomize, one, pod_of, pyrotee_of, validate
from test_manifests import assert_changes_reach, assert_hardened, assert_restricted, effective, fits, workload

KUSTOMIZE = KUBERNETES / "kustomize"
EXAMPLES = KUBERNETES / "examples"
POLICY = EXAMPLES / "mutatingadmissionpolicy.yaml"

APP = pod_of(workload(KUBERNETES / "sidecar.yaml"))["spec"]["containers"][0]

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "app", "labels": {"pyrotee/sidecar": "enabled"}},
    "spec": {
        "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "app", "image": "app:1", "securityContext": APP["securityContext"]}],
    },
}


def reference():
    return pyrotee_of(pod_of(workload(KUBERNETES / "sidecar.yaml")))


def test_the_component_has_the_sidecar_and_the_configuration_of_sidecar_yaml():
    for name in ["workload.yaml", "cronjob.yaml"]:
        (patch,) = documents(KUSTOMIZE / "component" / name)
        pod = pod_of(patch)["spec"]
        assert pod["initContainers"] == [reference()]
        assert pod["volumes"] == pod_of(workload(KUBERNETES / "sidecar.yaml"))["spec"]["volumes"]
        assert_changes_reach(reference(), pod_of(patch))
    config = one(documents(KUBERNETES / "sidecar.yaml"), "ConfigMap")
    assert (KUSTOMIZE / "component/pyrotee.yaml").read_text() == config["data"]["pyrotee.yaml"]
    (component,) = documents(KUSTOMIZE / "component/kustomization.yaml")
    for patch in component["patches"]:
        assert (KUSTOMIZE / "component" / patch["path"]).exists()
        assert patch["target"]["labelSelector"] == "pyrotee/sidecar=enabled"


def test_kustomize_adds_it_first_to_what_has_the_label():
    built = kustomize(KUSTOMIZE / "example")
    if built is None:
        # By day and without a kubectl only the test above checks the component.
        return
    for document in built:
        for version in [NATIVE, NEWEST]:
            validate(document, version)
    plain = documents(KUSTOMIZE / "example/app.yaml")
    untouched = one(built, "Deployment", "untouched")
    assert untouched == one(plain, "Deployment", "untouched")
    # With a hash in the name, a change would replace the pods.
    assert one(built, "ConfigMap")["metadata"]["name"] == "pyrotee-sidecar"
    assert one(built, "Secret")["metadata"]["name"] == "pyrotee-targets"
    for document in [one(built, "Deployment", "shop"), one(built, "CronJob")]:
        pod = pod_of(document)["spec"]
        first = pod["initContainers"][0]
        assert first.pop("image") == "registry.example.com/pyrotee:0.1.0"
        expected = {**reference()}
        del expected["image"]
        assert first == expected
        for volume in pod_of(workload(KUBERNETES / "sidecar.yaml"))["spec"]["volumes"]:
            assert volume in pod["volumes"]
    shop = pod_of(one(built, "Deployment", "shop"))["spec"]
    assert [c["name"] for c in shop["initContainers"]] == ["pyrotee", "migrate"]


def judge(family, tmp_path, pod):
    """Asserts that clusters accept the pod, and that its relay equals that of sidecar.yaml, except that its
    environment configures it."""
    for version in [NATIVE, NEWEST]:
        validate(pod, version)
    assert_restricted(pod)
    container = pyrotee_of(pod)
    assert_hardened(container)
    expected = reference()
    for key in ["args", "env", "volumeMounts"]:
        expected.pop(key)
    assert {k: v for k, v in container.items() if k not in ("args", "env")} == expected
    by_file = one(documents(KUBERNETES / "sidecar.yaml"), "ConfigMap")["data"]["pyrotee.yaml"]
    expected = effective(family, tmp_path, by_file, reference())
    assert effective(family, tmp_path, "", container) == expected
    fits(expected, container, pod)


def by_kyverno(pod):
    """Merges the policy into a pod as Kyverno does: lists of containers by name."""
    (policy,) = documents(EXAMPLES / "kyverno.yaml")
    (rule,) = policy["spec"]["rules"]
    (match,) = rule["match"]["any"]
    labels = match["resources"]["selector"]["matchLabels"]
    assert match["resources"]["kinds"] == ["Pod"]
    if not labels.items() <= pod["metadata"]["labels"].items():
        return pod
    pod = copy.deepcopy(pod)
    patch = rule["mutate"]["patchStrategicMerge"]
    assert patch.keys() == {"spec"} and patch["spec"].keys() == {"initContainers"}
    pod["spec"].setdefault("initContainers", []).extend(patch["spec"]["initContainers"])
    return pod


def literal(expression):
    """The value of a CEL expression of literals: without the names of types such an expression is YAML."""
    return yaml.safe_load(re.sub(r"\b(?:Object(?:\.\w+)*|JSONPatch)\{", "{", expression))


def by_the_api_server(pod):
    """Applies the JSON patches of the policy. Of CEL it knows only the condition in that policy; at night the
    API server's own code does the same."""
    policy = one(documents(POLICY), "MutatingAdmissionPolicy")
    labels = policy["spec"]["matchConstraints"]["objectSelector"]["matchLabels"]
    if not labels.items() <= pod["metadata"]["labels"].items():
        return pod
    pod = copy.deepcopy(pod)
    (mutation,) = policy["spec"]["mutations"]
    expression = mutation["jsonPatch"]["expression"]
    condition = r"\(has\(object\.spec\.initContainers\) \? \[\] : (\[.*?\])\) \+\n(.*)"
    without, patches = re.fullmatch(condition, expression, re.S).groups()
    for patch in ([] if "initContainers" in pod["spec"] else literal(without)) + literal(patches):
        assert patch["op"] == "add"
        if patch["path"] == "/spec/initContainers":
            pod["spec"]["initContainers"] = patch["value"]
        else:
            assert patch["path"] == "/spec/initContainers/0"
            pod["spec"]["initContainers"].insert(0, patch["value"])
    return pod


def test_a_pod_that_kyverno_changes_has_the_sidecar(family, tmp_path):
    judge(family, tmp_path, by_kyverno(POD))
    other = {**POD, "metadata": {"name": "other", "labels": {}}}
    assert by_kyverno(other) == other


def with_init_container(name):
    pod = copy.deepcopy(POD)
    pod["spec"]["initContainers"] = [{"name": name, "image": "app:1"}]
    return pod


def init_containers(pod):
    return [container["name"] for container in pod["spec"].get("initContainers", [])]


def test_a_pod_that_the_api_server_changes_has_the_sidecar(family, tmp_path):
    judge(family, tmp_path, by_the_api_server(POD))
    other = {**POD, "metadata": {"name": "other", "labels": {}}}
    assert by_the_api_server(other) == other
    assert init_containers(by_the_api_server(with_init_container("migrate"))) == ["pyrotee", "migrate"]


@pytest.mark.nightly
def test_the_code_of_the_api_server_makes_the_same_of_the_policy():
    assert shutil.which("go"), "go is missing: apt-get install golang"
    binary = ROOT / "target/deploy/bin/policy"
    source = Path(__file__).parent / "policy"
    subprocess.run(["go", "build", "-p", "2", "-o", binary, "."], cwd=source, check=True)

    def apply(pod):
        command = [binary, POLICY]
        run = subprocess.run(command, input=json.dumps(pod), capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    for pod in [POD, with_init_container("migrate")]:
        expected = by_the_api_server(pod)
        assert apply(pod)["spec"]["initContainers"][0] == expected["spec"]["initContainers"][0]
        assert init_containers(apply(pod)) == init_containers(expected)
    assert init_containers(apply(with_init_container("pyrotee"))) == ["pyrotee"], "no second one"


def test_the_policy_is_valid_and_sets_no_list_by_an_apply_configuration():
    for document in documents(POLICY):
        for version in ["1.36", NEWEST]:
            validate(document, version)
        document["apiVersion"] = document["apiVersion"].replace("v1", "v1beta1")
        validate(document, "1.34")
    text = POLICY.read_text()
    assert "ApplyConfiguration" not in text
