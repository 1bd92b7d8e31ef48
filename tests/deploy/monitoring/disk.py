"""A small file system in memory, to be filled."""

import subprocess
import tempfile
from pathlib import Path

from loopback.processes import need


class SmallDisk:
    """A file system of `size` bytes. It exists in a namespace of its own, so that no right to mount is needed."""

    def __init__(self, size):
        self.folder = tempfile.mkdtemp(prefix="pyrotee-disk-")
        script = f'mount -t tmpfs -o size={size} none "$0" && echo mounted && exec cat'
        command = [need("unshare", "util-linux"), "--map-root-user", "--mount", "--", "sh", "-c", script, self.folder]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.holder.stdout.readline()
        assert line == b"mounted\n", "no file system could be mounted in a namespace; see above"
        # Its path for processes outside of the namespace.
        self.path = Path(f"/proc/{self.holder.pid}/root{self.folder}")

    def stop(self):
        self.holder.stdin.close()
        self.holder.wait()
        Path(self.folder).rmdir()
