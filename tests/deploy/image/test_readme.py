"""Every command in deploy/docker/README.md, exactly as written, with podman in the place of `docker`; and other statements of that README."""

import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
import yaml
from containers.engine import ROOT
from loopback.readme import broken_links, commands
from relay import eventually

FOLDER = ROOT / "deploy/docker"

# `docker build` gets the stand-in for the Rust image and the caches of earlier builds; `docker compose` gets stand-ins for Pyroscope.
DOCKER = """#!/bin/bash
set -eu
command=$1; shift
case $command in
    build) exec buildah bud {build} --build-arg PROFILE={profile} "$@" ;;
    compose) exec {python} -m podman_compose "$1" "$2" -f {folder}/compose.sink.yaml "${{@:3}}" ;;
    *) exec podman "$command" "$@" ;;
esac
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.fixture
def shell(engine, image, profile, tmp_path):
    """A function that runs a line of the README and returns the output."""
    docker = tmp_path / "docker"
    build = " ".join(map(str, engine.build_arguments()))
    docker.write_text(DOCKER.format(build=build, profile=profile, python=sys.executable, folder=FOLDER))
    docker.chmod(0o755)
    if image != "localhost/pyrotee":
        engine.podman("tag", image, "localhost/pyrotee")
    ports = {"PYROTEE_PORT": free_port(), "CENTRAL_PORT": free_port()}
    environment = engine.environment | ports | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run = lambda line: engine.run("bash", "-euc", line, cwd=ROOT, env=environment)
    yield run
    run("docker compose -f deploy/docker/compose.yaml down --volumes || true")


def test_its_commands_do_what_it_says(shell):
    up, send, status, reload, down, build, version, check = commands(FOLDER / "README.md")
    shell(up)
    eventually("the relay is ready", lambda: "ready" in shell("docker compose -f deploy/docker/compose.yaml exec -T relay pyrotee healthcheck || true"))
    # The test has no terminal.
    terminal = lambda line: line.replace(" exec ", " exec -T ")
    # Until the Pyroscope behind the relay listens, the relay responds as the README says.
    eventually("a profile is taken", lambda: shell(f"{terminal(send)} || true").startswith("200 "))
    logs = "docker compose -f deploy/docker/compose.yaml logs central"
    eventually("central has it", lambda: "cluster=compose" in shell(logs))
    assert re.search(r"^central +healthy", shell(terminal(status)), re.M)
    shell(terminal(reload))
    shell(down)
    assert "pyrotee_spool" not in shell("docker volume ls")
    shell(build)
    assert re.match(r"pyrotee \d", shell(version))
    assert "http://central:4040" in shell(check)


def test_its_links_lead_somewhere():
    assert not list(broken_links(FOLDER / "README.md"))


def test_the_configuration_is_a_directory_so_that_changes_arrive():
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    mounted = [volume.split(":") for volume in services["relay"]["volumes"] if volume.startswith("./")]
    assert mounted == [["./compose", "/etc/pyrotee", "ro"]]
    assert [file.name for file in (FOLDER / "compose").iterdir()] == ["pyrotee.yaml"]


def test_the_services_are_as_closed_as_the_image_allows():
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    assert set(services) == {"relay", "pyroscope", "central"}
    for name, service in services.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert name == "relay" or re.search(r":\d+\.\d+\.\d+$", service["image"]), name


def test_the_example_of_pull_mode_changes_the_configuration_and_adds_a_closed_application():
    services = yaml.safe_load((FOLDER / "compose.scrape.yaml").read_text())["services"]
    assert set(services) == {"relay", "application"}
    assert services["relay"] == {"volumes": ["./scrape:/etc/pyrotee:ro"]}
    assert [file.name for file in (FOLDER / "scrape").iterdir()] == ["pyrotee.yaml"]
    application = services["application"]
    assert application["read_only"] and application["cap_drop"] == ["ALL"]
    assert application["security_opt"] == ["no-new-privileges:true"] and "ports" not in application
    assert re.search(r":v\d+\.\d+\.\d+$", application["image"])


def test_the_example_of_a_shared_backlog_adds_a_second_relay_and_a_closed_server():
    services = yaml.safe_load((FOLDER / "compose.shared.yaml").read_text())["services"]
    assert set(services) == {"relay", "second", "nats"}
    assert services["relay"]["volumes"] == ["./shared:/etc/pyrotee:ro"]
    assert sorted(file.name for file in (FOLDER / "shared").iterdir()) == ["nats.conf", "pyrotee.yaml"]
    for name in ["second", "nats"]:
        service = services[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"] and "ports" not in service, name
    assert re.search(r":\d+\.\d+\.\d+$", services["nats"]["image"])


def test_the_dockerfile_has_no_known_faults():
    hadolint = shutil.which("hadolint", path=os.path.dirname(sys.executable))
    ended = subprocess.run([hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
