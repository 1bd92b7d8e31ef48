"""Contents and properties of the image."""

import json
import re
import shutil
import subprocess

import pytest
from containers.common import NIGHTLY
from containers.engine import HOME, ROOT

# Bytes. A binary whose training no longer fits (deploy/binary) is larger.
MOST = 10_500_000


@pytest.fixture(scope="module")
def facts(engine, image):
    (facts,) = json.loads(engine.podman("image", "inspect", image))
    return facts


def test_it_says_what_it_is(facts):
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in facts["Labels"].items()}
    assert labels["title"] == "pyrotee"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == version, "VERSION in the Dockerfile"
    assert labels["description"] and labels["revision"]


def test_it_runs_the_relay_as_nobody_in_particular(facts):
    config = facts["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/bin/pyrotee"]
    assert config["Cmd"] == ["run"]
    assert "PYROTEE_CONFIG=/etc/pyrotee/pyrotee.yaml" in config["Env"]
    assert sorted(config["ExposedPorts"]) == ["4040/tcp", "4041/tcp"]
    assert facts["Healthcheck"]["Test"] == ["CMD", "/usr/bin/pyrotee", "healthcheck"]


def test_nothing_else_is_in_it(engine, image):
    container = engine.podman("create", image)
    listing = engine.run("sh", "-c", f"podman export {container} | tar --list --verbose --numeric-owner")
    engine.podman("rm", container)
    files = {line.split()[-1]: line.split()[:2] for line in listing.splitlines() if not line.startswith("d")}
    # Podman makes its own mount points in a container that was never started.
    files = {name: how for name, how in files.items() if not name.startswith(("dev/", "proc/", "sys/", "run/"))}
    assert files == {
        "usr/bin/pyrotee": ["-rwxr-xr-x", "0/0"],
        "etc/ssl/certs/ca-certificates.crt": ["-rw-r--r--", "0/0"],
        "etc/pyrotee/pyrotee.yaml": ["-rw-r--r--", "0/0"],
    }
    (spool,) = (line.split()[:2] for line in listing.splitlines() if line.endswith(" var/lib/pyrotee/"))
    assert spool == ["drwxr-xr-x", "65532/65532"]


def test_it_is_small(facts, profile):
    # A quick build has symbols, and its size says nothing about the released one.
    assert facts["Size"] <= (MOST if profile == "release" else 20 * MOST)


def test_the_binary_is_static(binary):
    linked = subprocess.run(["ldd", binary], capture_output=True, text=True)
    assert "statically linked" in linked.stdout or "not a dynamic executable" in linked.stderr, linked


def test_it_is_built_the_same_twice(engine, image, profile):
    """At night everything is compiled again; else only the image is built again from the compiled parts."""
    caches = HOME / "tmp-again" if NIGHTLY else None
    if caches:
        shutil.rmtree(caches, ignore_errors=True)
        caches.mkdir()
    again = "localhost/pyrotee-again"
    engine.build(again, profile, "--no-cache", caches=caches)
    assert engine.digest(again) == engine.digest(image)
    if caches:
        shutil.rmtree(caches)
