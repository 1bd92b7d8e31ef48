"""The three places where a relay runs (a host, a container, a pod), each with an empty root and a network of its own."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import yaml

from files import RUNBOOK
from loopback.processes import ROOT, SOON, Process, eventually, need

# What systemd, Docker and Kubernetes set if neither the unit nor the image does.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
SECRET = {"ADMIN_TOKEN": "opensesame"}

UPSTREAM, CENTRAL, REFUSING = "127.0.0.1:4042", "127.0.0.1:5001", "127.0.0.1:5002"
DATA = Path("var/lib/pyrotee")


def config(targets):
    """A relay that needs its token, with a spool, dead letters and the default ports."""
    targets = {name: {"address": f"http://{address}", "tags": {"site": "here"}} for name, address in targets.items()}
    return {
        "admin-token": "${ADMIN_TOKEN}",
        "upstream": {"address": f"http://{UPSTREAM}"},
        "spool": {"dir": f"/{DATA}/spool", "max-bytes": "16MiB"},
        "shutdown": {"grace": "1s"},
        "remote-write": {"enabled": True, "targets": targets},
    }


def ways():
    """What the runbook says to enter first, by the place: the code at the start of the cell."""
    rows = re.findall(r"^\| (as [^|]+|in [^|]+) \| `([^`]+)`", (RUNBOOK / "README.md").read_text(), re.M)
    return dict(rows)


def alias(place):
    """The words for which `pyrotee` stands in a place."""
    name, value = shlex.split(ways()[place])[1].split("=", 1)
    assert name == "pyrotee"
    return shlex.split(value)


class Place:
    """A root with the binary, the libraries that this build of it needs, a configuration and a data directory, but without a
    shell or any other program, and a network without another process. `variables` are those of the relay's process."""

    def __init__(self, folder, binary, variables, arguments, file="pyrotee.yaml"):
        self.root = Path(folder) / "root"
        self.folder, self.arguments = Path(folder), arguments
        self.variables = {"PATH": PATH, **variables}
        for part in ("usr/bin", "etc/pyrotee", "tmp", DATA):
            (self.root / part).mkdir(parents=True)
        self.copy(binary, "usr/bin/pyrotee")
        for library in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", binary], capture_output=True, text=True).stdout):
            self.copy(library, library[1:])
        self.file = self.root / "etc/pyrotee" / file
        self.members = []
        holder = [need("unshare", "util-linux"), *self.rootless("--user", "--map-root-user"), "--net"]
        up = [*holder, "sh", "-c", f"{need('ip', 'iproute2')} link set lo up && echo up && exec sleep infinity"]
        self.holder = self.add(Process(folder, "network", up))
        self.holder.says("(up)")

    @staticmethod
    def rootless(*options):
        return options if os.geteuid() else ()

    def copy(self, source, to):
        to = self.root / to
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, to)

    def add(self, member):
        self.members.append(member)
        return member

    def inside(self, variables, *command):
        """The command line that runs a command in the place, with these variables only."""
        enter = [need("nsenter", "util-linux"), f"--target={self.holder.process.pid}", "--net", *self.rootless("--user", "--preserve-credentials")]
        only = [need("env", "coreutils"), "-i", *(f"{name}={value}" for name, value in variables.items())]
        return [*enter, *only, need("chroot", "coreutils"), self.root, *command]

    def start(self, name, variables, *command):
        return self.add(Process(self.folder, name, self.inside(variables, *command)))

    def run_relay(self, name, targets):
        self.file.write_text(json.dumps(config(targets)))
        relay = self.start(name, self.variables, "/usr/bin/pyrotee", *self.arguments)
        relay.says(r'listener="data" address=(\S+)')
        return relay

    def prepare(self):
        """Leaves a relay running with a removed target that has profiles, a damaged segment, and a dead letter."""
        for name, options in {UPSTREAM: [], CENTRAL: [], REFUSING: ["--status", "400"]}.items():
            sink = self.start(f"sink-{name}", {}, "/usr/bin/pyrotee", "sink", "--listen", name, *options)
            sink.says(f"({name})")
        before = self.run_relay("before", {"old": "127.0.0.1:1", "central": CENTRAL})
        self.must({}, "send", "--to", "http://127.0.0.1:4040")
        spool = self.root / DATA / "spool"
        segment = eventually("a segment", lambda: [it for it in spool.iterdir() if it.stem.isdigit() and it.stat().st_size > 500])
        assert before.stop() == 0
        self.damaged = f"{segment[0].stem}.corrupt"
        shutil.copy(segment[0], spool / self.damaged)
        self.run_relay("relay", {"central": CENTRAL, "refusing": REFUSING})
        self.must({}, "send", "--to", "http://127.0.0.1:4040")
        eventually("a dead letter", self.letter)

    def letter(self):
        """The id of the newest dead letter; `None`: there is none."""
        text = self.must({}, "dead-letters", "ls")
        found = re.search(r"^(\d\S+-refusing)\b", text, re.M)
        return found and found[1]

    def must(self, variables, *command):
        ended = self.run(variables, *command)
        assert ended.returncode == 0, ended
        return ended.stdout

    def run(self, variables, *command):
        line = [str(part) for part in self.inside({"PATH": PATH, **variables}, "/usr/bin/pyrotee", *command)]
        return subprocess.run(line, capture_output=True, text=True, timeout=SOON)

    def end(self):
        for member in reversed(self.members):
            member.stop()


def package(folder, binary):
    """A host with the package. The command of the alias is run as systemd-run would: with the variables that it names."""
    words = alias("as the service of the package")
    assert words[:2] == ["sudo", "systemd-run"] and words[-1] == "/usr/bin/pyrotee"
    options = [word for word in words[2:-1] if "=" in word]
    [environment] = [word.removeprefix("--property=EnvironmentFile=-/") for word in options if "EnvironmentFile" in word]
    variables = dict(word.removeprefix("--setenv=").split("=") for word in options if word.startswith("--setenv="))
    unit = (ROOT / "deploy/package/pyrotee.service").read_text()
    [start] = re.findall(r"^ExecStart=/usr/bin/pyrotee (.*)$", unit, re.M)
    assert f"EnvironmentFile=-/{environment}" in unit
    place = Place(folder, binary, {**variables, **SECRET}, start.split())
    (place.root / environment).write_text("".join(f"{name}={value}\n" for name, value in SECRET.items()))
    lines = (place.root / environment).read_text().splitlines()
    return place, {**variables, **dict(line.split("=") for line in lines)}


def process(folder, binary):
    """A host on which the relay was started by hand."""
    name, value = ways()["as a process on a host"].removeprefix("export ").split("=")
    return Place(folder, binary, SECRET, ["run", "--config", value]), {name: value, **SECRET}


def container(folder, binary):
    """A container of the image. `docker exec` gives a command the variables of the container."""
    assert alias("in a container") == ["docker", "exec", "CONTAINER", "pyrotee"]
    image = (ROOT / "deploy/docker/Dockerfile").read_text().split("FROM scratch")[1]
    assert 'ENTRYPOINT ["/usr/bin/pyrotee"]' in image
    variables = {**dict(re.findall(r"^ENV (\w+)=(\S+)$", image, re.M)), **SECRET}
    return Place(folder, binary, variables, json.loads(re.search(r"^CMD (.*)$", image, re.M)[1])), variables


def pod(folder, binary):
    """A pod of the chart whose configuration has a name of its own."""
    assert alias("in a pod") == ["kubectl", "exec", "POD", "--container=pyrotee", "--", "pyrotee"]
    image = (ROOT / "deploy/docker/Dockerfile").read_text().split("FROM scratch")[1]
    rendered = (ROOT / "tests/deploy/chart/golden/existing.yaml").read_text().split("\n# pyrotee/templates/")
    [workload] = [text.partition("\n")[2] for text in rendered if text.startswith("deployment.yaml\n")]
    [one] = [one for one in yaml.safe_load(workload)["spec"]["template"]["spec"]["containers"] if one["name"] == "pyrotee"]
    own = {variable["name"]: variable["value"] for variable in one["env"] if "value" in variable}
    variables = {**dict(re.findall(r"^ENV (\w+)=(\S+)$", image, re.M)), **own, **SECRET}
    return Place(folder, binary, variables, one["args"], Path(one["args"][-1]).name), variables


PLACES = [package, process, container, pod]
