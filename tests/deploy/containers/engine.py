"""Containers without a Docker engine: buildah builds, podman runs, runc starts. They use a storage and settings of their own
below target/deploy, so that the machine's other containers are not touched."""

import fcntl
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / "target/deploy/containers"

# The image for the compiling stages of the Dockerfile: the machine's own Rust and C compiler, in place of an image from a registry.
RUST = "localhost/pyrotee-rust"

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]

# Options that give a container of pyrotee no rights.
HARDENED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=64m", "--pids-limit=64"]

NEEDED = {
    "buildah": "buildah",
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "iptables": "iptables",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "/usr/bin/catatonit": "catatonit",
    "gcc": "gcc",
}


def need(tools):
    """Fails where a program is missing, with what to install."""
    missing = [package for tool, package in tools.items() if not shutil.which(tool)]
    if missing:
        raise AssertionError(f"install what is missing: apt-get install -y --no-install-recommends {' '.join(missing)}")
    if os.getuid() != 0:
        raise AssertionError("these tests mount file systems and make networks: run them as root")


def limits():
    """Podman's default limits may exceed those of the machine: the lower of the two."""
    files, processes = (resource.getrlimit(which)[1] for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    cap = lambda hard, most: most if hard == resource.RLIM_INFINITY else min(hard, most)
    return [f"nofile={cap(files, 20000)}:{cap(files, 20000)}", f"nproc={cap(processes, 20000)}:{cap(processes, 20000)}"]


class Engine:
    def __init__(self):
        need(NEEDED)
        HOME.mkdir(parents=True, exist_ok=True)
        # One session at a time: two run roots over one storage undo each other's mounts.
        self.lock = open(HOME / "lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        # Sockets live below the run root, and their paths must be short.
        self.run_root = Path(tempfile.mkdtemp(prefix="pyrotee-"))
        settings = HOME / "containers.conf"
        # crun refuses machines with both generations of cgroups; the journal needs systemd.
        settings.write_text(
            "[containers]\n"
            f"default_ulimits = {limits()}\n".replace("'", '"')
            + '[network]\nnetwork_backend = "netavark"\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )
        storage = HOME / "storage.conf"
        storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{HOME}/storage"\nrunroot = "{self.run_root}"\n')
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(settings),
            "CONTAINERS_STORAGE_CONF": str(storage),
            # buildah keeps the directories of `--mount=type=cache` here.
            "TMPDIR": str(HOME / "tmp"),
            "BUILDAH_ISOLATION": "oci",
        }
        (HOME / "tmp").mkdir(exist_ok=True)
        self.clean()

    def run(self, *command, check=True, **options):
        """Runs a command in this environment, and returns its output without the last line end."""
        options = {"env": self.environment, "timeout": 900, "text": True} | options
        ended = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        if check and ended.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}")
        return ended.stdout.strip() if check else ended

    def podman(self, *arguments, **options):
        return self.run("podman", *arguments, **options)

    def import_rust(self):
        """Makes an image with links and certificates only. The machine's folders are mounted into its containers."""
        with tempfile.TemporaryDirectory() as context:
            tree = Path(context)
            for folder in ("usr", "tmp", "proc", "dev", "sys", "etc/ssl/certs", *(str(it)[1:] for it in self.toolchain())):
                (tree / folder).mkdir(parents=True, exist_ok=True)
            for link in ("bin", "sbin", "lib", "lib64"):
                (tree / link).symlink_to(f"usr/{link}")
            # `cc` is a link through this folder.
            shutil.copytree("/etc/alternatives", tree / "etc/alternatives", symlinks=True)
            shutil.copy("/etc/ssl/certs/ca-certificates.crt", tree / "etc/ssl/certs/")
            toolchain, cargo = self.toolchain()
            (tree / "Containerfile").write_text(
                "FROM scratch\nCOPY . /\n"
                f"ENV RUSTUP_HOME={toolchain} PATH={cargo}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
            )
            self.run("buildah", "bud", "--timestamp=0", "-t", RUST, tree)

    @staticmethod
    def toolchain():
        """The folders of the machine's Rust toolchain and of its commands."""
        cargo = shutil.which("cargo")
        assert cargo, "install Rust: https://rustup.rs"
        return Path(os.environ.get("RUSTUP_HOME", Path.home() / ".rustup")), Path(cargo).parent

    def build_arguments(self):
        """Arguments for `buildah bud`, so that the Dockerfile can be built without an image registry."""
        mounts = [f"--volume={place}:{place}:ro" for place in ("/usr", *self.toolchain())]
        ulimits = [f"--ulimit={limit}" for limit in limits()]
        return [
            # HEALTHCHECK is part of Docker's format only.
            "--format=docker",
            "--timestamp=0",
            "--pull-never",
            "--network=host",
            f"--build-arg=RUST_IMAGE={RUST}",
            # Docker sets this argument by itself.
            f"--build-arg=TARGETARCH={ARCHITECTURE}",
            *mounts,
            *ulimits,
        ]

    def build(self, tag, profile, *more, caches=None):
        """Builds the image from the Dockerfile."""
        environment = self.environment | ({"TMPDIR": str(caches)} if caches else {})
        self.run(
            "buildah", "bud", *self.build_arguments(), f"--build-arg=PROFILE={profile}", *more,
            "--tag", tag, "--file", ROOT / "deploy/docker/Dockerfile", ROOT,
            env=environment, timeout=3600,
        )  # fmt: skip

    def digest(self, tag):
        """The digest of an image in OCI's format. The digest in Docker's format depends on the container of the build."""
        with tempfile.TemporaryDirectory() as place:
            digest = Path(place) / "digest"
            self.run("buildah", "push", "--format=oci", f"--digestfile={digest}", tag, f"oci:{place}/image")
            return digest.read_text()

    def clean(self):
        """Removes all remaining containers, those of a killed session as well."""
        self.run("buildah", "rm", "--all", check=False)
        self.podman("pod", "rm", "--all", "--force", check=False)
        self.podman("rm", "--all", "--force", "--time=0", check=False)
        self.podman("volume", "rm", "--all", "--force", check=False)
        self.podman("network", "prune", "--force", check=False)

    def close(self):
        self.clean()
        self.run("umount", HOME / "storage/overlay", check=False)
        shutil.rmtree(self.run_root, ignore_errors=True)
        self.lock.close()


def python():
    """Mounts of the folders that a container needs to run the Python of these tests, at the same paths."""
    return ["/usr", sys.base_prefix, sys.prefix] if not sys.base_prefix.startswith("/usr") else ["/usr", sys.prefix]
