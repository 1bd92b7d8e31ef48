"""Containers of the image, as the tests use them."""

import functools
import json

from containers.engine import HARDENED
from loopback import processes

# A container takes a second to start, and more on a machine that builds beside the tests.
eventually = functools.partial(processes.eventually, within=60)


class Net:
    """The containers of one test, in a network of their own, in which they find each other by name."""

    def __init__(self, engine, image, name):
        self.engine, self.image, self.name = engine, image, name
        engine.podman("network", "create", name)

    def start(self, name, *command, options=(), pod=None):
        """Starts the image without any rights, as `name` in the network or in a pod."""
        place = f"--pod={pod}" if pod else f"--network={self.name}:alias={name}"
        full = f"{self.name}-{name}"
        self.engine.podman("run", "--detach", f"--name={full}", place, *HARDENED, *options, self.image, *command)

    def sink(self, name, *options):
        """Starts a stand-in for a Pyroscope."""
        self.start(name, "sink", "--listen=0.0.0.0:4040", "--json", *options)
        eventually(f"{name} listens", lambda: "listening" in self.logs(name))

    def relay(self, *options, name="relay", pod=None):
        """Starts a relay to `local` that tees to `central`, and waits until it is ready."""
        settings = {
            "UPSTREAM__ADDRESS": "http://local:4040",
            "REMOTE_WRITE__ENABLED": "true",
            "REMOTE_WRITE__TARGETS__CENTRAL__ADDRESS": "http://central:4040",
        }
        variables = [f"--env=PYROTEE__{key}={value}" for key, value in settings.items()]
        self.start(name, options=[*variables, *options], pod=pod)
        self.ready(name)
        names = self.engine.podman("ps", "--format={{.Names}}").split()
        if f"{self.name}-local" in names:
            eventually("it finds the local Pyroscope", lambda: self.finds(name, "local"))
            eventually("it is found", lambda: pod or self.finds("local", name))

    def finds(self, name, other):
        """Whether container `name` can resolve `other`. The network knows a name only a moment after the start of its container."""
        return "cannot resolve" not in self.exec(name, "healthcheck", f"--admin={other}:4040", check=False).stderr

    def ready(self, name="relay"):
        eventually(f"{name} is ready", lambda: self.exec(name, "healthcheck", check=False).returncode == 0)

    def volume(self, name):
        name = f"{self.name}-{name}"
        self.engine.podman("volume", "create", name)
        return f"--volume={name}:/var/lib/pyrotee"

    def send(self, *options):
        """Sends profiles from the container of the local Pyroscope, and returns the output."""
        return self.exec("local", "send", "--to=http://relay:4040", *options)

    def exec(self, name, *command, check=True):
        return self.engine.podman("exec", f"{self.name}-{name}", "/usr/bin/pyrotee", *command, check=check)

    def target(self, name="relay"):
        """The status of the only target of a relay."""
        (target,) = json.loads(self.exec(name, "status", "--json"))["targets"]
        return target

    def logs(self, name):
        ended = self.engine.podman("logs", f"{self.name}-{name}", check=False)
        return ended.stdout + ended.stderr

    def received(self, name):
        """Digests of the bodies that a sink received."""
        lines = [line for line in self.logs(name).splitlines() if line.startswith("{")]
        return sorted(json.loads(line)["digest"] for line in lines)

    def end(self, name, *how):
        """Ends a container by `how`, such as `stop` or `kill`, and returns its exit code."""
        self.engine.podman(*how, f"{self.name}-{name}")
        return int(self.engine.podman("wait", f"{self.name}-{name}"))

    def remove(self, name):
        self.engine.podman("rm", "--force", "--time=0", f"{self.name}-{name}")

    def close(self):
        names = self.engine.podman("ps", "--all", f"--filter=name=^{self.name}-", "--format={{.Names}}").split()
        if names:
            self.engine.podman("rm", "--force", "--time=0", *names)
        self.engine.podman("network", "rm", "--force", self.name, check=False)
        volumes = self.engine.podman("volume", "ls", "--quiet", f"--filter=name={self.name}-").split()
        if volumes:
            self.engine.podman("volume", "rm", *volumes)
