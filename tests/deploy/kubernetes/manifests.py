"""Reads manifests, and validates them as a cluster of a given version would."""

import os
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import yaml

from loopback.processes import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
DROP_IN = ROOT / "deploy/drop-in"

NEWEST = "1.37"
# The first version of Kubernetes with native sidecars.
NATIVE = "1.29"
NIGHTLY = bool(os.environ.get("PYROTEE_NIGHTLY"))


def documents(file):
    return [document for document in yaml.safe_load_all(Path(file).read_text()) if document]


def validate(document, version):
    """Raises an error if a cluster of this version does not know a field or a value."""
    kubernetes_validate.validate(document, version, strict=True)


def one(found, kind, name=None):
    """The only document of a kind, or the document of that kind with this name."""
    (document,) = (
        d for d in found if d["kind"] == kind and name in (None, d["metadata"]["name"])
    )
    return document


def pod_of(document):
    """The pod template of a workload."""
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec["template"]


def pyrotee_of(pod):
    """The container of pyrotee."""
    spec = pod["spec"]
    (container,) = (
        c for c in spec.get("initContainers", []) + spec["containers"] if c["name"] == "pyrotee"
    )
    return container


def selects(service, pod):
    """Whether a Service chooses a pod."""
    return service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def port_of(service, pod):
    """The number of the pod's port that the Service leads to."""
    target = service["spec"]["ports"][0]["targetPort"]
    ports = [port for c in pod["spec"]["containers"] for port in c.get("ports", [])]
    return next(p["containerPort"] for p in ports if target in (p["containerPort"], p["name"]))


def kustomize(folder):
    """Builds a kustomization. `None` by day if there is neither kubectl nor kustomize."""
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize"]
    elif tool := shutil.which("kustomize"):
        command = [tool, "build"]
    elif NIGHTLY:
        # Compiled from the module proxy, which takes minutes.
        home = ROOT / "target/deploy/bin"
        assert shutil.which("go"), "go is missing: apt-get install golang"
        package = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
        environment = {**os.environ, "GOBIN": str(home), "GOFLAGS": "-p=2"}
        subprocess.run(["go", "install", package], env=environment, check=True)
        command = [home / "kustomize", "build"]
    else:
        return None
    built = subprocess.run([*command, folder], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return [document for document in yaml.safe_load_all(built.stdout) if document]
