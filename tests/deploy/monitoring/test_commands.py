"""Every command of the runbook, in each place where a relay runs: on a host, in a container, in a pod."""

import re
import shlex

import pytest

from files import RUNBOOK
from places import PLACES, ways

# Programs of which the pages name commands.
PROGRAMS = "pyrotee kubectl docker podman systemctl systemd-run journalctl helm df du ls chown curl".split()

# Commands of other programs, which run where an operator has them, and never in the image.
ELSEWHERE = {
    "df DIRECTORY": "on the machine that has the volume",
    "df --inodes DIRECTORY": "on the machine that has the volume",
    "docker logs --tail=50 CONTAINER": "on the container's host",
    "docker ps --all": "on the container's host",
    "docker restart --time=30 CONTAINER": "on the container's host",
    "helm rollback RELEASE": "where Helm is",
    "journalctl --unit=pyrotee --lines=50": "on a host with the package",
    "kubectl describe pod POD": "where kubectl is",
    "kubectl get certificate": "where kubectl and cert-manager are",
    "kubectl get endpointslices --selector=kubernetes.io/service-name=NAME": "where kubectl is",
    "kubectl get pods": "where kubectl is",
    "kubectl get pods --all-namespaces --output wide": "where kubectl is",
    "kubectl get secret NAME --output=jsonpath={.data}": "where kubectl is",
    "kubectl logs --previous POD --container=pyrotee": "where kubectl is",
    "kubectl rollout restart deployment/NAME": "where kubectl is",
    "systemctl restart pyrotee": "on a host with the package",
    "systemctl status pyrotee": "on a host with the package",
}

# What the words in capitals stand for. ID and FILE are found in each place.
NAMES = {"ADDRESS": "127.0.0.1", "TARGET": "refusing", "OLD": "old", "NEW": "central"}

# A command that runs until it is stopped, and what it prints first.
ENDLESS = {"pyrotee sink --listen 0.0.0.0:4050": r"(0\.0\.0\.0:4050)"}


# Commands that need the NATS of a shared backlog, which no place of these tests has; the end-to-end tests run them.
WITH_NATS = {"pyrotee shared check", "pyrotee shared list", "pyrotee shared purge TARGET", "pyrotee shared delete STREAM --yes"}


def commands():
    """Every command of the pages, those that change something last."""
    spans = set()
    for page in RUNBOOK.glob("*.md"):
        spans |= set(re.findall(r"`([^`\n]+)`", page.read_text()))
    found = {span for span in spans if span.split()[0] in PROGRAMS and " " in span}
    return sorted(found - {"pyrotee runbook"} - WITH_NATS, key=lambda it: ("purge" in it, "replay" in it, it))


def test_the_commands_of_other_programs_are_known():
    others = {command for command in commands() if not command.startswith("pyrotee ")}
    assert others == ELSEWHERE.keys()


def test_each_place_has_a_way():
    assert len(ways()) == len(PLACES)


@pytest.mark.parametrize("kind", PLACES, ids=lambda kind: kind.__name__)
def test_every_command_works_as_it_is_written(family, tmp_path, kind):
    place, variables = kind(tmp_path, family.pyrotee)
    own = [command for command in commands() if command.startswith("pyrotee ")]
    assert len(own) > 10
    failed = []
    try:
        place.prepare()
        for command in own:
            words = shlex.split(command)[1:]
            if command in ENDLESS:
                place.start("endless", variables, "/usr/bin/pyrotee", *words).says(ENDLESS[command])
                continue
            names = {**NAMES, "ID": place.letter() or "", "FILE": place.damaged}
            words = [re.sub(r"\b[A-Z]{2,}\b", lambda found: names[found[0]], word) for word in words]
            ended = place.run(variables, *words)
            if ended.returncode != 0:
                failed.append((command, ended.returncode, ended.stdout, ended.stderr))
    finally:
        place.end()
    assert not failed
