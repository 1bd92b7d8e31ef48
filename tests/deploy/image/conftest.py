import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from containers.common import NIGHTLY, engine, pytest_collection_modifyitems, pytest_configure  # noqa: E402, F401
from containers.engine import RUST  # noqa: E402
from relay import Net  # noqa: E402


@pytest.fixture(scope="session")
def profile():
    """The build profile of the image: that of a release at night, else a quick one."""
    return os.environ.get("PYROTEE_PROFILE", "release" if NIGHTLY else "dev")


@pytest.fixture(scope="session")
def base(engine):
    """An image in which the machine's own programs run, once the machine's folders are mounted."""
    engine.import_rust()
    return RUST


@pytest.fixture(scope="session")
def image(engine, profile, base):
    """The image, built by the Dockerfile, or the image in the storage that PYROTEE_IMAGE names."""
    ready = os.environ.get("PYROTEE_IMAGE")
    if ready:
        return ready
    tag = "localhost/pyrotee"
    engine.build(tag, profile)
    return tag


@pytest.fixture(scope="session")
def binary(engine, image, tmp_path_factory):
    """The static binary, taken out of the image."""
    place = tmp_path_factory.mktemp("binary") / "pyrotee"
    container = engine.podman("create", image)
    engine.podman("cp", f"{container}:/usr/bin/pyrotee", place)
    engine.podman("rm", container)
    return place


@pytest.fixture
def net(engine, image, request):
    name = "t-" + re.sub("[^a-z0-9]+", "-", request.node.name)[-40:].strip("-")
    net = Net(engine, image, name)
    yield net
    if hasattr(request.node, "failed"):
        for container in engine.podman("ps", "--all", "--format={{.Names}}").split():
            print(f"== {container}\n{engine.podman('logs', container, check=False)}")
    net.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        item.failed = True
