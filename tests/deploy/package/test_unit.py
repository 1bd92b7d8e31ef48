"""Checks of the service and of the package's files without installing them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from containers.engine import ROOT, need
from loopback.processes import binary
from loopback.readme import broken_links, commands

FOLDER = ROOT / "deploy/package"
BINARY = ROOT / "deploy/binary"
SECRETS = "/var/lib/pyrotee/secrets"

# systemd's exposure level, from 0 to 10. The network, which a relay needs, accounts for the rest.
MOST_EXPOSED = 1.5


@pytest.fixture
def unit():
    return (FOLDER / "pyrotee.service").read_text()


@pytest.fixture(scope="module")
def check():
    """A function that runs `pyrotee check --print` on a text and returns the output."""
    pyrotee = binary()

    def check(text, **variables):
        command = [pyrotee, "check", "--print", "-"]
        ended = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, env=os.environ | variables)
        assert ended.returncode == 0 and not ended.stderr, ended.stderr
        return ended.stdout

    return check


def shipped(folder):
    """The pages that a package ships, copied into `folder`: their paths there."""
    subprocess.run([FOLDER / "pages", folder], check=True)
    return {page.relative_to(folder) for page in folder.rglob("*") if page.is_file()}


def analyze(*arguments):
    need({"systemd-analyze": "systemd"})
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


def setting(unit, name):
    (value,) = re.findall(rf"^{name}=(.*)$", unit, re.M)
    return value


def test_a_service_that_notifies_may_reach_the_socket_of_systemd(unit):
    assert setting(unit, "Type") == "notify"
    assert setting(unit, "NotifyAccess") == "main"
    assert "AF_UNIX" in setting(unit, "RestrictAddressFamilies").split()


def test_a_relay_that_only_has_much_to_do_is_not_taken_for_one_that_hangs(unit):
    # The relay beats twice in this time.
    assert int(setting(unit, "WatchdogSec").removesuffix("s")) >= 30
    # Readiness waits for the spool, for 2 s at most.
    assert int(setting(unit, "TimeoutStartSec").removesuffix("s")) >= 30


def test_every_page_is_shipped_and_its_links_work(tmp_path):
    pages = shipped(tmp_path)
    documents = {page.relative_to(ROOT) for kind in ("md", "svg") for page in (ROOT / "docs").rglob(f"*.{kind}")}
    assert documents <= pages
    assert {str(page) for page in pages} >= {"README.md", "CHANGELOG.md", "docs/runbook/README.md", "deploy/package/README.md"}
    broken = {
        os.path.normpath(page.parent / link)
        for page in pages
        if page.suffix == ".md"
        for link in broken_links(tmp_path / page)
    }
    # The rest of the repository is not shipped: code, tests and the files of deployments.
    assert [link for link in broken if not link.startswith(("crates/", "tests/", "deploy/")) and link != "LICENSE"] == []
    assert [link for link in broken if not (ROOT / link).exists()] == []


def test_the_configuration_names_a_page_that_is_shipped(tmp_path):
    named = re.findall(r"/usr/share/doc/pyrotee/(\S+\.md)", (FOLDER / "pyrotee.yaml").read_text() + (FOLDER / "pyrotee.service").read_text())
    assert len(named) == 2 and {Path(name) for name in named} <= shipped(tmp_path)


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


def test_the_configuration_is_valid_and_so_is_what_it_proposes(check, tmp_path):
    text = (FOLDER / "pyrotee.yaml").read_text()
    assert "127.0.0.1:4042" in check(text)
    proposed = re.sub(r"^# (?=( |spool:|remote-write:))", "", text, flags=re.M)
    (tmp_path / "central").write_text("S3cret\n")
    assert f"${{file:{SECRETS}/central}}" in proposed
    printed = check(proposed.replace(SECRETS, str(tmp_path)))
    assert "profiles.example.com" in printed and "/var/lib/pyrotee/spool" in printed
    assert "S3cret" not in printed


def test_the_relay_changes_only_when_it_is_asked_to(unit):
    assert re.search(r"^reload:\n  interval: 0$", (FOLDER / "pyrotee.yaml").read_text(), re.M)
    assert re.findall(r"^ExecReload=(.*)$", unit, re.M) == ["/usr/bin/pyrotee reload"]


def test_a_reload_finds_the_token_where_the_relay_does(unit):
    (started,) = re.findall(r"^ExecStart=/usr/bin/pyrotee run --config (\S+)$", unit, re.M)
    # ExecReload also gets the variables of EnvironmentFile, such as PYROTEE_ADMIN.
    assert re.findall(r"^Environment=(.*)$", unit, re.M) == [f"PYROTEE_CONFIG={started}"]
    assert "EnvironmentFile=-/etc/pyrotee/pyrotee.env" in unit


def test_tokens_have_a_directory_that_only_the_relay_can_read(unit, tmp_path):
    (made,) = re.findall(r"^ExecStartPre=-(.*)$", unit, re.M)
    state = re.search(r"^StateDirectory=(.*)$", unit, re.M)[1]
    assert made.split()[-1] == SECRETS == f"/var/lib/{state}/secrets"
    folder = tmp_path / "state/secrets"
    for _ in range(2):
        subprocess.run([*made.split()[:-1], folder], check=True)
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_token_is_installed_for_the_relays_user(tmp_path):
    """Runs the command of the README and of the configuration's comment, with other directories."""
    (command,) = (line for line in commands(FOLDER / "README.md") if "central.token" in line)
    inside = re.fullmatch(r"sudo sh -c '(.*)'", command)[1]
    assert f"# {inside}\n" in (FOLDER / "pyrotee.yaml").read_text()
    (tmp_path / "central.token").write_text("S3cret\n")
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    for token in ["S3cret", "another"]:
        (tmp_path / "central.token").write_text(token)
        subprocess.run(["sh", "-c", inside.replace(SECRETS, str(folder))], cwd=tmp_path, check=True)
        central = folder / "central"
        assert central.read_text() == token
        assert (central.stat().st_uid, central.stat().st_mode & 0o777) == (folder.stat().st_uid, 0o600)


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
    packing = [FOLDER / "build", FOLDER / "pages", FOLDER / "scripts/postrm", ROOT / "deploy/dist"]
    compiling = [BINARY / "compile", BINARY / "train", *sorted((ROOT / "tests/demo").glob("*.sh"))]
    ended = subprocess.run(["shellcheck", "--external-sources", *packing, *compiling], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
