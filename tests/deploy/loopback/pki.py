"""Authorities and certificates, made by openssl, as files with the names that cert-manager gives them in a Secret."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .processes import need


def openssl(*words):
    ended = subprocess.run([need("openssl", "openssl"), *(str(word) for word in words)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


class Authority:
    """An authority of its own name, in `folder`."""

    def __init__(self, folder, name="authority"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = self.folder / "ca.crt", self.folder / "ca.key"
        new_key(self.key)
        openssl(
            "req", "-x509", "-new", "-key", self.key, "-out", self.certificate, "-days", 3650, "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign",
        )

    def issue(self, folder, names, usages="serverAuth,clientAuth", days=90):
        """Writes tls.crt, tls.key and ca.crt into `folder`. `names` are those of the certificate, such as `DNS:a.example`. It began to be valid
        a year ago, and ends after this number of days, which may be negative."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        request, settings = self.folder / "request.pem", self.folder / "openssl.cnf"
        (self.folder / "index.txt").write_text("")
        settings.write_text(
            f"""[ca]
default_ca = authority
[authority]
database = {self.folder}/index.txt
new_certs_dir = {self.folder}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = leaf
[any]
commonName = optional
[leaf]
subjectAltName = critical,{','.join(names)}
extendedKeyUsage = {usages}
basicConstraints = critical,CA:FALSE
"""
        )
        new_key(folder / "tls.key")
        openssl("req", "-new", "-key", folder / "tls.key", "-subj", "/CN=relay", "-out", request)
        openssl(
            "ca", "-batch", "-notext", "-config", settings, "-cert", self.certificate, "-keyfile", self.key,
            "-startdate", moment(-365), "-enddate", moment(days), "-in", request, "-out", folder / "tls.crt",
        )
        shutil.copy(self.certificate, folder / "ca.crt")
        return folder


def moment(days):
    """The time in this number of days, as openssl takes it."""
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


def new_key(path):
    """Writes a key in the form that cert-manager writes."""
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


class Mount:
    """A directory as the kubelet fills a volume: `..data` is a symlink to a directory of the current files, and each name leads through it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.generation = 0

    def write(self, files):
        """Puts all files (path in the volume: file to copy) into force at one moment, as an update of a Secret does."""
        self.generation += 1
        now = self.folder / f"..{self.generation}"
        for path, source in files.items():
            (now / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, now / path)
        link = self.folder / "..data_tmp"
        link.symlink_to(now.name)
        link.rename(self.folder / "..data")
        for top in {Path(path).parts[0] for path in files}:
            if not (self.folder / top).is_symlink():
                (self.folder / top).symlink_to(f"..data/{top}")
        for old in self.folder.glob("..[0-9]*"):
            if old != now:
                shutil.rmtree(old)
