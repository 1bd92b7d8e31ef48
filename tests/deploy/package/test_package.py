"""The package itself, and its life cycle on a machine with systemd: installed, configured, upgraded, removed, purged."""

import json
import re
import subprocess

import pytest
from containers.engine import ROOT, need
from loopback.pki import Authority
from loopback.readme import commands
from machine import Machine
from test_unit import shipped

pytestmark = pytest.mark.nightly

# Findings of lintian that are accepted: there is no bug of Debian to close, only root may read tokens, and links of the pages
# name CHANGELOG.md.
KNOWN = {"initial-upload-closes-no-bugs", "non-standard-file-perm", "wrong-name-for-upstream-changelog"}

README = ROOT / "deploy/package/README.md"
DOC = "./usr/share/doc/pyrotee/"

SPOOLING = """
admin: 127.0.0.1:4041
spool: { dir: /var/lib/pyrotee/spool }
remote-write:
  enabled: true
  targets:
    central: { address: "http://127.0.0.1:9", auth-token: "${file:/var/lib/pyrotee/secrets/central}" }
"""


def test_its_contents_are_what_a_debian_machine_expects(package, tmp_path):
    listing = subprocess.check_output(["dpkg-deb", "--contents", package], text=True)
    files = {line.split()[5]: line.split()[0] for line in listing.splitlines() if not line.startswith("d")}
    for name in (
        "./usr/lib/systemd/system/pyrotee.service",
        "./usr/share/man/man1/pyrotee.1.gz",
        "./usr/share/man/man1/pyrotee-run.1.gz",
        "./usr/share/bash-completion/completions/pyrotee",
        "./usr/share/zsh/vendor-completions/_pyrotee",
        "./usr/share/fish/vendor_completions.d/pyrotee.fish",
        "./usr/share/doc/pyrotee/copyright",
    ):
        assert files[name] == "-rw-r--r--", name
    pages = {name.removeprefix(DOC) for name in files if name.startswith(DOC)}
    assert pages - {"copyright", "changelog.Debian.gz"} == {str(page) for page in shipped(tmp_path)}
    assert all(files[f"{DOC}{page}"] == "-rw-r--r--" for page in pages)
    assert files["./usr/bin/pyrotee"] == "-rwxr-xr-x"
    assert files["./etc/pyrotee/pyrotee.env"] == "-rw-------"
    depends = subprocess.check_output(["dpkg-deb", "--field", package, "Depends"], text=True)
    assert re.fullmatch(r"libc6 \(>= 2\.3\d\)\n", depends), "glibc alone"


def test_lintian_finds_nothing_new(package):
    need({"lintian": "lintian"})
    found = subprocess.run(["lintian", "--allow-root", package], capture_output=True, text=True).stdout
    tags = {line.split()[2] for line in found.splitlines() if re.match("[EWI]: ", line)}
    assert tags <= KNOWN, found


@pytest.fixture
def machine(engine, package):
    machine = Machine(engine)
    machine.run("mkdir -p target/dist")
    machine.copy(package, f"/target/dist/{package.name}")
    yield machine
    machine.close()


def newer(package, tmp_path):
    """The same package with a later version number."""
    tree = tmp_path / "tree"
    subprocess.check_call(["dpkg-deb", "--raw-extract", package, tree])
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0-1", control.read_text(), flags=re.M))
    subprocess.check_call(["dpkg-deb", "--build", "--root-owner-group", tree, tmp_path], stdout=subprocess.DEVNULL)
    return tmp_path / f"pyrotee_99.0-1_{package.stem.rsplit('_', 1)[1]}.deb"


def target(machine):
    (target,) = json.loads(machine.run("pyrotee status --json"))["targets"]
    return target


def test_it_lives_as_its_readme_says(machine, package, tmp_path):
    install, service, status, check, reload, journal, restart, token, again, certificate, anew, remove, purge = commands(README)
    machine.run(install.replace("install", "install --yes"))
    machine.wait("it is ready", "pyrotee healthcheck")
    assert "active (running)" in machine.run(service)
    assert "no targets" in machine.run(status)
    assert machine.show("StatusText") == {"StatusText": "serving, 0 targets"}
    has_only_the_rights_it_needs(machine)

    machine.write("/etc/pyrotee/pyrotee.yaml", SPOOLING)
    assert machine.run(check, check=False).returncode != 0, "there is no token yet"
    assert machine.run(reload, check=False).returncode != 0
    assert "secrets/central" in machine.run(journal), "the journal has the faults"
    refused = {"ActiveState": "active", "StatusText": "serving, 0 targets; configuration refused, configuration in force kept"}
    assert machine.show("ActiveState", "StatusText") == refused
    machine.write("central.token", "S3cret\n")
    machine.run(token)
    assert "S3cret" not in machine.run(check)
    before = machine.show("MainPID")
    machine.run(again)
    assert target(machine)["name"] == "central", "targets need no restart"
    assert machine.show("MainPID") == before
    assert machine.show("ActiveState", "StatusText") == {"ActiveState": "active", "StatusText": "serving, 1 target"}
    machine.write("central.token", "another-S3cret\n")
    machine.run(token)
    machine.run(again)
    assert "S3cret" not in machine.run(journal)
    a_certificate_is_read_by_the_service(machine, certificate, anew, tmp_path)
    machine.run(restart)  # for the spool
    machine.wait("it is ready", "pyrotee healthcheck")
    assert "listening" in machine.run(journal)
    machine.run("pyrotee send --to http://127.0.0.1:4040", check=False)
    machine.wait("one waits", "pyrotee status | grep -E '^central.* 1 \\('")

    before = machine.show("MainPID")
    later = newer(package, tmp_path)
    machine.copy(later, "/later.deb")
    machine.run("apt-get install --yes /later.deb")
    machine.wait("it is ready", "pyrotee healthcheck")
    assert machine.show("MainPID") != before, "an upgrade starts the new one"
    assert machine.run("cat /etc/pyrotee/pyrotee.yaml") == SPOOLING.strip()
    assert target(machine)["pending"]["profiles"] == 1, "the spool was kept"

    faults_are_not_tried_again(machine)
    a_token_comes_as_a_credential(machine)

    machine.run(remove.replace("remove", "remove --yes"))
    assert machine.run("pgrep pyrotee || cat /proc/*/comm | grep -x pyrotee", check=False).returncode == 1
    machine.run("test -e /etc/pyrotee/pyrotee.yaml && test -e /var/lib/private/pyrotee/spool")
    machine.run(purge.replace("purge", "purge --yes"))
    machine.run("! test -e /etc/pyrotee && ! test -e /var/lib/pyrotee && ! test -e /var/lib/private/pyrotee")


def a_certificate_is_read_by_the_service(machine, install, reload, tmp_path):
    own = Authority(tmp_path / "authority").issue(tmp_path / "own", ["DNS:relay.example.com"])
    for name in ("tls.crt", "tls.key"):
        machine.write(name, (own / name).read_text())
    machine.run(install)
    folder = "/var/lib/pyrotee/secrets"
    tls = f'"https://127.0.0.1:9", tls: {{ cert-file: {folder}/tls.crt, key-file: {folder}/tls.key }}'
    machine.write("/etc/pyrotee/pyrotee.yaml", SPOOLING.replace('"http://127.0.0.1:9"', tls))
    machine.run(reload)
    assert target(machine)["address"].startswith("https://")
    machine.write("/etc/pyrotee/pyrotee.yaml", SPOOLING)
    machine.run(reload)


def has_only_the_rights_it_needs(machine):
    process = machine.show("MainPID")["MainPID"]
    status = dict(re.findall(r"^(\w+):\s*(.*)$", machine.run(f"cat /proc/{process}/status"), re.M))
    user = int(status["Uid"].split()[0])
    assert 61184 <= user <= 65519, "a user of systemd's"
    assert int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    # A service with a too restricted view of /proc cannot report these series.
    ask = "exec 3<>/dev/tcp/127.0.0.1/4041; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    metrics = machine.run(f'bash -c "{ask}"')
    assert {"process_start_time_seconds", "process_open_fds"} <= set(re.findall(r"^\w+", metrics, re.M))


def a_token_comes_as_a_credential(machine):
    machine.write("/root/central.token", "S3cret\n")
    machine.run("chmod 600 /root/central.token && mkdir /etc/systemd/system/pyrotee.service.d")
    machine.write("/etc/systemd/system/pyrotee.service.d/token.conf", "[Service]\nLoadCredential=central:/root/central.token\n")
    machine.write("/etc/pyrotee/pyrotee.yaml", SPOOLING.replace("${file:/var/lib/pyrotee/secrets/central}", "${file:central}"))
    machine.run("systemctl daemon-reload && systemctl restart pyrotee")
    machine.wait("it is ready", "pyrotee healthcheck")
    machine.run("rm -r /root/central.token /etc/systemd/system/pyrotee.service.d")


def faults_are_not_tried_again(machine):
    machine.write("/etc/pyrotee/pyrotee.yaml", "listen: nonsense\n")
    machine.run("systemctl restart pyrotee", check=False)
    machine.wait("it has failed", "systemctl is-failed pyrotee")
    assert machine.show("NRestarts", "ExecMainStatus") == {"NRestarts": "0", "ExecMainStatus": "2"}
