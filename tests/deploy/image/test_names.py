"""The static binary on a system with another C library.

A static glibc loads the modules that nsswitch.conf names; modules of another glibc crash it. pyrotee resolves names without the C library."""

import os
import stat
import subprocess

import pytest
from containers.engine import HOME, need
from relay import eventually

# Packages of Debian 13, whose glibc is newer than the glibc that is linked in.
PACKAGES = ["libc6", "libnss-myhostname", "libcap2", "libgcc-s1"]
SOURCE = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n"

LOOK_UP = """
#include <netdb.h>
#include <stdio.h>
int main(int argc, char **argv) {
    struct addrinfo *found;
    printf("%d\\n", getaddrinfo(argv[1], "80", NULL, &found));
    return 0;
}
"""


@pytest.fixture(scope="session")
def trixie(engine):
    """A folder with the parts of Debian 13 that are needed to load a module of its C library."""
    need({"apt-get": "apt", "dpkg-deb": "dpkg"})
    tree, apt = HOME / "trixie", HOME / "apt"
    if not (tree / "complete").exists():
        for folder in ("lists/partial", "archives/partial", "packages"):
            (apt / folder).mkdir(parents=True, exist_ok=True)
        (apt / "sources.list").write_text(SOURCE)
        options = {
            "Dir::Etc::sourcelist": apt / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": apt / "lists",
            "Dir::Cache": apt,
            "Dir::State::status": "/dev/null",
            "APT::Sandbox::User": "root",
        }
        options = [f"-o={key}={value}" for key, value in options.items()]
        engine.run("apt-get", *options, "update")
        engine.run("apt-get", *options, "download", *PACKAGES, cwd=apt / "packages")
        for package in (apt / "packages").glob("*.deb"):
            engine.run("dpkg-deb", "--extract", package, tree)
        for link in ("lib", "lib64"):
            if not (tree / link).exists():
                (tree / link).symlink_to(f"usr/{link}")
        for folder in ("dev", "etc"):
            (tree / folder).mkdir(exist_ok=True)
        # A static binary reads random bytes from these.
        for name, minor in (("random", 8), ("urandom", 9)):
            os.mknod(tree / "dev" / name, stat.S_IFCHR | 0o644, os.makedev(1, minor))
        (tree / "etc/nsswitch.conf").write_text("hosts: files myhostname dns\n")
        (tree / "etc/hosts").write_text("127.0.0.1 central.test\n")
        (tree / "etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        (tree / "complete").touch()
    return tree


def test_another_static_program_crashes_there(trixie):
    """Without this the next test would prove nothing."""
    source = trixie / "look-up.c"
    source.write_text(LOOK_UP)
    # `-w`, because the compiler warns of this very crash.
    subprocess.run(["gcc", "-static", "-w", "-o", trixie / "look-up", source], check=True)
    ended = subprocess.run(["chroot", trixie, "/look-up", "elsewhere.invalid"], capture_output=True, text=True)
    assert ended.returncode < 0, ended


@pytest.fixture
def start(trixie, binary, tmp_path):
    """A function that starts pyrotee in that folder, and returns a function that reads its output."""
    (trixie / "pyrotee").unlink(missing_ok=True)
    (trixie / "pyrotee").write_bytes(binary.read_bytes())
    (trixie / "pyrotee").chmod(0o755)
    processes = []

    def start(name, *arguments):
        log = tmp_path / name
        with open(log, "w") as out:
            command = ["chroot", trixie, "/pyrotee", *arguments]
            processes.append(subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT))
        return log.read_text, processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def address(read, marker):
    def find():
        found = [line.split(marker)[1] for line in read().splitlines() if marker in line]
        return found and found[0].split('"')[0].strip()

    return eventually(f"a line with {marker!r}", find)


def test_names_are_found_or_not_and_nothing_crashes(start, trixie):
    sink, _ = start("sink", "sink", "--listen=127.0.0.1:0")
    port = address(sink, "listening on http://").split(":")[1]
    (trixie / "pyrotee.yaml").write_text(
        f"""
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstream: {{ address: "http://elsewhere.invalid:80" }}
log: {{ format: json }}
remote-write:
  enabled: true
  targets:
    known: {{ address: "http://central.test:{port}" }}
    unknown: {{ address: "http://elsewhere.invalid:{port}" }}
"""
    )
    relay, process = start("relay", "run", "--config=/pyrotee.yaml")
    data = address(relay, '"listener":"data","address":"')
    admin = address(relay, '"listener":"admin","address":"')
    sent = subprocess.run(["chroot", trixie, "/pyrotee", "send", f"--to=http://{data}"], capture_output=True, text=True)
    assert sent.returncode == 1 and "502" in sent.stderr, sent
    eventually("the known target has it", lambda: "pyrotee.sample" in sink())

    def failed():
        command = ["chroot", trixie, "/pyrotee", "status", f"--admin={admin}", "--json"]
        return '"last_error":{' in subprocess.run(command, capture_output=True, text=True).stdout

    eventually("the unknown one was looked for", failed)
    assert process.poll() is None
