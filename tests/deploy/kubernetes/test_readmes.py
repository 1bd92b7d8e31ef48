"""Every command of the READMEs is run, or a stand-in checks what a cluster would do with it."""

import shutil
import subprocess

import pytest

from loopback import readme
from loopback.processes import ROOT
from manifests import DROP_IN, KUBERNETES, NATIVE, NIGHTLY, documents, kustomize, one, validate
from test_drop_in import CHARTS_SERVICE, patched
from test_manifests import FILES

PAGES = [
    KUBERNETES / "README.md",
    KUBERNETES / "kustomize/README.md",
    KUBERNETES / "examples/README.md",
    KUBERNETES / "examples/java/README.md",
    KUBERNETES / "examples/go/README.md",
    DROP_IN / "README.md",
]


def validated(family, command):
    """Stands in for `kubectl apply` and `kubectl delete`: strict validation for the first version that must
    accept the files. Objects of Kyverno are not validated, since there is no schema for them."""
    files = [ROOT / part for part in command.split() if part.startswith("deploy/")]
    assert files
    for file in files:
        for document in documents(file):
            if document["apiVersion"] != "kyverno.io/v1":
                validate(document, FILES.get(file, "1.36"))


def built(family, command):
    """Runs `kubectl kustomize`, which needs no cluster, and validates the result; by day only if there is a kubectl."""
    for document in kustomize(ROOT / command.split()[-1]) or []:
        validate(document, NATIVE)


def patches(family, command):
    """Stands in for `kubectl patch`: applies the patch to the Service of the chart."""
    words = command.split()
    assert words[2:5] == ["service", CHARTS_SERVICE["metadata"]["name"], "--type=json"]
    patched(CHARTS_SERVICE, words[5].split("/")[-1])


def names_the_relay(family, command):
    """Stands in for `kubectl rollout` and `kubectl exec`: the Deployment exists, and `pyrotee status` is run
    on this machine."""
    assert one(documents(DROP_IN / "relay.yaml"), "Deployment")["metadata"]["name"] == "pyrotee"
    assert "deployment/pyrotee" in command or "deploy/pyrotee" in command
    if " -- " in command:
        relay = family.relay("status", {"upstream": {"address": "http://127.0.0.1:1"}})
        shown = family.run(*command.split(" -- pyrotee ")[1].split(), "--admin", relay.admin)
        assert shown.returncode == 0, shown.stderr


def names_the_secret(family, command):
    """Stands in for `kubectl create secret`: the Secret is the one that the manifests refer to."""
    secret = one(documents(KUBERNETES / "sidecar.yaml"), "Secret")
    (key,) = secret["stringData"]
    assert command.split()[4:] == [secret["metadata"]["name"], f"--from-literal={key}=change-me"]


def compiled(family, command):
    """Compiles the Go example, which fetches modules; by day only gofmt checks the example, if there is one."""
    folder = ROOT / command.split()[1]
    if NIGHTLY:
        assert shutil.which("go"), "go is missing: apt-get install golang"
        subprocess.run(["go", "build", "-o", "/dev/null", "."], cwd=folder, check=True)
    elif gofmt := shutil.which("gofmt"):
        assert subprocess.run([gofmt, "-l", folder], capture_output=True, text=True).stdout == ""


K, D = "deploy/kubernetes", "deploy/drop-in"
COMMANDS = {
    f"kubectl apply -f {K}/sidecar.yaml": validated,
    f"kubectl apply -f {K}/sidecar-legacy.yaml": validated,
    f"kubectl apply -f {K}/relay.yaml": validated,
    f"kubectl apply -f {K}/shared.yaml": validated,
    f"kubectl kustomize {K}/kustomize/example": built,
    f"kubectl apply -k {K}/kustomize/example": built,
    f"kubectl apply -f {K}/examples/java/app.yaml": validated,
    f"kubectl apply -f {K}/examples/go/app.yaml": validated,
    f"kubectl apply -f {K}/examples/mutatingadmissionpolicy.yaml": validated,
    f"kubectl apply -f {K}/examples/kyverno.yaml": validated,
    "kubectl create secret generic pyrotee-targets --from-literal=central-token=change-me": names_the_secret,
    f"cd {K}/examples/go && go build -o /tmp/go-app .": compiled,
    f"kubectl apply -f {D}/relay.yaml -f {D}/plain/direct.yaml": validated,
    f"kubectl apply -f {D}/relay.yaml -f {D}/helm/direct.yaml": validated,
    "kubectl rollout status deployment/pyrotee": names_the_relay,
    f"kubectl apply -f {D}/plain/take-over.yaml": validated,
    f"kubectl apply -f {D}/plain/give-back.yaml": validated,
    f"kubectl patch service pyroscope --type=json --patch-file={D}/helm/take-over.yaml": patches,
    f"kubectl patch service pyroscope --type=json --patch-file={D}/helm/give-back.yaml": patches,
    "kubectl exec deploy/pyrotee -- pyrotee status": names_the_relay,
    f"kubectl delete -f {D}/relay.yaml": validated,
}


def test_every_command_is_in_the_table():
    readme.hold(PAGES, COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works_as_far_as_this_machine_can_tell(family, command):
    COMMANDS[command](family, command)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs/scaling.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_and_a_readme_begins_with_a_command(page):
    assert list(readme.broken_links(page)) == []
    if page.name == "README.md":
        lines = [line for line in page.read_text().splitlines() if line]
        assert lines[1] == "```console" and lines[2].startswith("$ ")
