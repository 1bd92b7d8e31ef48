"""Checks of the service and of the package's files without installing them."""

import os
import re
import shutil
import subprocess

import pytest
from containers.engine import ROOT, need
from loopback.processes import binary
from loopback.readme import broken_links

FOLDER = ROOT / "deploy/package"
BINARY = ROOT / "deploy/binary"

# systemd's exposure level, from 0 to 10. The network, which a relay needs, accounts for the rest.
MOST_EXPOSED = 1.5


@pytest.fixture
def unit():
    return (FOLDER / "pyrotee.service").read_text()


@pytest.fixture(scope="module")
def check():
    """A function that runs `pyrotee check` on a text and returns the output."""
    pyrotee = binary()

    def check(text, **variables):
        command = [pyrotee, "check", "--config=/dev/stdin"]
        ended = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, env=os.environ | variables)
        assert ended.returncode == 0 and not ended.stderr, ended.stderr
        return ended.stdout

    return check


def analyze(*arguments):
    need({"systemd-analyze": "systemd"})
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


def test_systemd_understands_every_line_of_the_unit(unit, tmp_path):
    # systemd-analyze also checks that the binary exists.
    copy = tmp_path / "pyrotee.service"
    copy.write_text(unit.replace("/usr/bin/pyrotee", shutil.which("true")))
    verified = analyze("verify", "--man=no", copy)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_the_service_may_do_next_to_nothing():
    threshold = f"--threshold={int(MOST_EXPOSED * 10)}"
    rated = analyze("security", "--offline=true", "--no-pager", threshold, FOLDER / "pyrotee.service")
    assert rated.returncode == 0, rated.stdout


def test_the_configuration_is_valid_and_so_is_what_it_proposes(check):
    text = (FOLDER / "pyrotee.yaml").read_text()
    assert "127.0.0.1:4042" in check(text)
    proposed = re.sub(r"^# (?=( |spool:|remote-write:))", "", text, flags=re.M)
    printed = check(proposed, CENTRAL_TOKEN="S3cret")
    assert "profiles.example.com" in printed and "/var/lib/pyrotee/spool" in printed


def test_a_stop_has_time_to_drain(unit, check):
    stop = int(re.search(r"^TimeoutStopSec=(\d+)s$", unit, re.M)[1])
    grace = int(re.search(r"grace: (\d+)s", check(""))[1])
    assert stop > grace + 5


def test_the_changelog_is_of_this_version():
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    first = (FOLDER / "changelog").read_text().splitlines()[0]
    assert first.startswith(f"pyrotee ({version}-1) ")
    assert f"pyrotee_{version}-1_" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("folder", [FOLDER, BINARY], ids=lambda folder: folder.name)
def test_the_links_of_the_readme_lead_somewhere(folder):
    assert not list(broken_links(folder / "README.md"))


def test_scripts_have_no_known_faults():
    need({"shellcheck": "shellcheck"})
    packing = [FOLDER / "build", FOLDER / "scripts/postrm", ROOT / "deploy/dist"]
    compiling = [BINARY / "compile", BINARY / "train", *sorted((ROOT / "tests/demo").glob("*.sh"))]
    ended = subprocess.run(["shellcheck", "--external-sources", *packing, *compiling], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
