"""The real binary and its peers, as processes on free ports of loopback."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# Seconds, longer than any step takes; a test that waits so long fails.
SOON = 20.0


def need(tool, package):
    """The path of a tool. If the tool is missing, the test fails and says what to install."""
    path = shutil.which(tool)
    assert path, f"{tool} is missing: apt-get install {package}"
    return path


def binary():
    """The path of the binary to test: that in `PYROTEE`, else a fresh build."""
    if path := os.environ.get("PYROTEE"):
        return path
    cargo = shutil.which("cargo") or str(Path.home() / ".cargo/bin/cargo")
    subprocess.run([cargo, "build", "--quiet", "--locked", "-p", "pyrotee"], cwd=ROOT, check=True)
    return str(ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug/pyrotee")


def eventually(what, probe, within=SOON):
    """Calls `probe` until the result is true, and returns the result."""
    end = time.monotonic() + within
    while True:
        if found := probe():
            return found
        assert time.monotonic() < end, f"waited {within} s for {what}"
        time.sleep(0.05)


def get(url):
    with urllib.request.urlopen(url, timeout=SOON) as answer:
        return answer.read().decode()


class Process:
    """A process that writes its output to a file and ends with the test."""

    def __init__(self, folder, name, command):
        self.name = name
        self.log = Path(folder) / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=subprocess.STDOUT
            )

    def text(self):
        return self.log.read_text(errors="replace")

    def says(self, pattern):
        """Waits until `pattern` matches the output, and returns its first group."""

        def look():
            found = re.search(pattern, self.text(), re.MULTILINE)
            ended = self.process.poll()
            assert found or ended is None, f"{self.name} ended with {ended}:\n{self.text()}"
            return found

        return eventually(f"{pattern!r} of {self.name}", look).group(1)

    def stop(self):
        """Asks the process to end, and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(SOON)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Relay(Process):
    """A running `pyrotee run`. `config` is its configuration; ports default to free ones.
    `descriptors` is the most files that it may open."""

    def __init__(self, folder, name, pyrotee, config, descriptors=None):
        own = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "shutdown": {"grace": "1s"}}
        config = {**own, **config}
        self.file = Path(folder) / f"{name}.yaml"
        self.file.write_text(json.dumps(config))
        command = [pyrotee, "run", "--config", self.file]
        if descriptors:
            command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
        super().__init__(folder, name, command)
        self.admin = self.says(r'listener="admin" address=(\S+)')
        self.address = self.says(r'listener="data" address=(\S+)')

    def metrics(self):
        return get(f"http://{self.admin}/metrics")

    def sum(self, name, **labels):
        """The sum of all series of `name` that have these labels."""
        total = 0.0
        for line in self.metrics().splitlines():
            found = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
            if found and found[1] == name:
                own = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
                if labels.items() <= own.items():
                    total += float(found[3])
        return total


class Sink(Process):
    """A running `pyrotee sink`, the stand-in for a Pyroscope."""

    def __init__(self, folder, name, pyrotee, *options):
        command = [pyrotee, "sink", "--listen", "127.0.0.1:0", "--json", *options]
        super().__init__(folder, name, command)
        self.address = self.says(r"(127\.0\.0\.1:\d+)")

    def profiles(self):
        """The profiles that the sink has received."""
        lines = self.text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


# Credentials of a user of NATS, which the tests of the crate pyrotee-jetstream use too.
CREDENTIALS = ROOT / "crates/pyrotee-jetstream/src/testing/relay.creds"


def nats_server():
    """The path of nats-server. The one of Debian 12 is older than the relay needs."""
    go = Path(os.environ.get("GOPATH") or Path.home() / "go")
    found = os.environ.get("PYROTEE_NATS_SERVER") or shutil.which(go / "bin/nats-server") or shutil.which("nats-server")
    assert found, "nats-server is missing: go install github.com/nats-io/nats-server/v2@v2.15.3"
    return found


def old_nats_server():
    """The path of a nats-server that is older than the relay needs: that of Debian 12."""
    found = Path(os.environ.get("PYROTEE_NATS_SERVER_OLD", "/usr/sbin/nats-server"))
    assert found.is_file(), f"{found} is missing: apt-get install nats-server (2.9, of Debian 12)"
    return found


class Nats(Process):
    """A running nats-server. JetStream is on, with its streams in `folder`; if `jetstream` is false, a configuration in `options`
    decides that. `program` is the path of the server, by default that of the newer one."""

    def __init__(self, folder, *options, jetstream=True, program=None):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        own = ["-a", "127.0.0.1", "-p", "-1"]
        if jetstream:
            own += ["-js", "-sd", folder / "nats"]
        super().__init__(folder, "nats-server", [program or nats_server(), *own, *options])
        self.address = self.says(r"Listening for client connections on (\S+)")
        self.says("(Server is ready)")


class Family:
    """Starts processes in one folder, and ends them all, the newest first."""

    def __init__(self, folder):
        self.folder = folder
        self.pyrotee = binary()
        self.members = []

    def add(self, member):
        self.members.append(member)
        return member

    def relay(self, name, config, **options):
        return self.add(Relay(self.folder, name, self.pyrotee, config, **options))

    def sink(self, name, *options):
        return self.add(Sink(self.folder, name, self.pyrotee, *options))

    def nats(self):
        return self.add(Nats(self.folder)).address

    def run(self, *arguments):
        """Runs a subcommand to its end."""
        command = [self.pyrotee, *(str(argument) for argument in arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=SOON)

    def end(self):
        """Ends all processes, then fails if one of them had to be killed."""
        stubborn = []
        for member in reversed(self.members):
            try:
                member.stop()
            except subprocess.TimeoutExpired:
                stubborn.append(member.name)
        assert not stubborn, f"{stubborn} had to be killed"
