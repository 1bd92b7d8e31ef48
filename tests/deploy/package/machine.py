"""A Debian with systemd as its first process, in a container."""

import re

from containers.engine import HOME, need
from loopback.processes import eventually

IMAGE = "localhost/pyrotee-debian"


class Machine:
    def __init__(self, engine):
        need({"debootstrap": "debootstrap"})
        self.engine = engine
        if engine.podman("image", "exists", IMAGE, check=False).returncode != 0:
            tree = HOME / "debian"
            engine.run("rm", "-rf", tree)
            include = "--include=systemd,systemd-sysv,dbus"
            engine.run("debootstrap", "--variant=minbase", include, "bookworm", tree, "http://deb.debian.org/debian")
            engine.run("sh", "-c", f"tar --directory {tree} --create . | podman import - {IMAGE}")
            engine.run("rm", "-rf", tree)
        # systemd makes mount namespaces for its services and mounts files in them, such as credentials. For that the
        # mounts must be shared, as on a machine; those of a container are not by default.
        start = "mount --make-rshared / && exec /lib/systemd/systemd"
        self.container = engine.podman(
            "run", "--detach", "--privileged", "--systemd=always", "--network=none", IMAGE, "sh", "-c", start
        )
        self.wait("it has started", "systemctl is-system-running | grep -E 'running|degraded'")

    def run(self, line, check=True):
        """Runs a line of shell in the container as root, without its `sudo`, and returns the output."""
        line = re.sub(r"\bsudo ", "", line)
        command = ["exec", "--env=DEBIAN_FRONTEND=noninteractive", self.container, "sh", "-c", line]
        return self.engine.podman(*command, check=check)

    def wait(self, what, line):
        eventually(what, lambda: self.run(line, check=False).returncode == 0, within=60)

    def write(self, path, text):
        self.engine.podman("exec", "--interactive", self.container, "sh", "-c", f"cat > {path}", input=text)

    def copy(self, path, place):
        self.engine.podman("cp", path, f"{self.container}:{place}")

    def show(self, *properties):
        """Properties of the service."""
        lines = self.run(f"systemctl show pyrotee --property={','.join(properties)}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def close(self):
        self.engine.podman("rm", "--force", "--time=0", self.container)
