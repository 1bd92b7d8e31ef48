"""The helm command renders the same as Helm's library. Only with PYROTEE_NIGHTLY=1, because compiling Helm takes minutes."""

import os
import shutil
import subprocess

import pytest
import yaml

from support import CI, KUBERNETES, ROOT, values_of

HELM = "helm.sh/helm/v3/cmd/helm@v3.21.4"


@pytest.fixture(scope="session")
def helm():
    assert shutil.which("go"), "go is missing: install golang 1.26 or newer"
    folder = ROOT / "target/deploy/bin"
    program = folder / "helm"
    if not program.exists():
        subprocess.run(["go", "install", HELM], env={**os.environ, "GOBIN": str(folder)}, check=True)
    return program


def by_name(objects):
    return {(one["apiVersion"], one["kind"], one["metadata"]["name"]): one for one in objects if one}


@pytest.mark.parametrize("file", CI, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_helm_renders_the_same(helm, chart, file):
    # A Helm 3 that is not an official build assumes Kubernetes 1.20.
    command = [helm, "template", "rel", chart.directory, "--namespace", "profiling", "--kube-version", KUBERNETES, "--values", file]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert by_name(yaml.safe_load_all(text)) == by_name(chart.objects(values_of(file)))


def test_helm_lints_and_renders_the_application(helm, application_dir, application):
    subprocess.run([helm, "lint", "--strict", application_dir, "--kube-version", KUBERNETES], check=True)
    command = [helm, "template", "rel", application_dir, "--namespace", "profiling", "--kube-version", KUBERNETES]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert by_name(yaml.safe_load_all(text)) == by_name(application.objects())
