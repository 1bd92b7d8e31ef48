"""`make dist`, and the files that it leaves in target/dist."""

import re
import subprocess
import tarfile

import pytest
from containers.engine import ARCHITECTURE, ROOT

pytestmark = pytest.mark.nightly

OUT = ROOT / "target/dist"


@pytest.fixture(scope="module")
def version(engine, image):
    """The version that was built. The fixture `image` comes first, so that its compiled parts can be used."""
    # The format is the default, and a value with spaces could not be passed on.
    arguments = [it for it in engine.build_arguments() if not str(it).startswith(("--format", "--timestamp"))]
    environment = engine.environment | {"BUILDAH_ARGUMENTS": " ".join(arguments)}
    engine.run("make", "dist", cwd=ROOT, env=environment, timeout=3600)
    return re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def test_everything_is_there_and_has_a_sum(version):
    subprocess.check_call(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=OUT)
    named = {line.split()[1] for line in (OUT / "SHA256SUMS").read_text().splitlines()}
    assert named == {
        f"pyrotee-{version}-linux-{ARCHITECTURE}.tar.gz",
        f"pyrotee-{version}-linux-{ARCHITECTURE}-image.tar",
        f"pyrotee_{version}-1_{ARCHITECTURE}.deb",
        f"pyrotee-{version}.tgz",
    } == {file.name for file in OUT.iterdir()} - {"SHA256SUMS"}


def test_the_static_binary_comes_with_its_pages_and_completions(version, tmp_path):
    name = f"pyrotee-{version}-linux-{ARCHITECTURE}"
    with tarfile.open(OUT / f"{name}.tar.gz") as archive:
        members = set(archive.getnames())
        assert all(member.uid == member.mtime == 0 for member in archive)
        archive.extractall(tmp_path, filter="data")
    needed = ["LICENSE", "README.md", "docs/configuration.md", "man/man1/pyrotee-run.1", "completions/pyrotee.zsh"]
    assert {f"{name}/{file}" for file in needed} <= members
    revision = subprocess.check_output(["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, text=True).strip()
    told = subprocess.check_output([tmp_path / name / "pyrotee", "--version"], text=True)
    assert told == f"pyrotee {version} ({revision})\n"


def test_the_image_can_be_loaded_and_runs(engine, version):
    loaded = engine.podman("load", "--input", OUT / f"pyrotee-{version}-linux-{ARCHITECTURE}-image.tar")
    tag = loaded.split()[-1]
    assert engine.podman("run", "--rm", "--network=none", tag, "--version").startswith(f"pyrotee {version} ")


def test_the_chart_is_of_this_version(version):
    with tarfile.open(OUT / f"pyrotee-{version}.tgz") as archive:
        chart = archive.extractfile("pyrotee/Chart.yaml").read().decode()
    assert re.search(rf"^version: \"?{re.escape(version)}\"?$", chart, re.M), chart
