"""The configuration of a NATS server in docs/scaling.md makes a cluster of three, on which relays can share a backlog."""

import base64
import json
import re
import socket

from faults import NOBODY
from loopback.pki import Authority
from loopback.processes import CREDENTIALS, ROOT, Nats, eventually

PAGE = (ROOT / "docs/scaling.md").read_text()
CONFIG = re.search(r"^```\n(server_name: nats-0\n.*?)^```", PAGE, re.M | re.S)[1]


def public_key():
    """The public key of the user whose seed is in the file of credentials."""
    token = re.search(r"BEGIN NATS USER JWT-----\n(\S+)", CREDENTIALS.read_text())[1]
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def servers(family, certificate):
    """Starts the three servers. The page's addresses become those of this machine, and an administrator gets a login."""
    folder, ports = family.folder / "cluster", free_ports(3)
    config = CONFIG.replace("/etc/nats/", f"{certificate}/").replace("U…", public_key())
    config = config.replace("users = [", "users = [ { user: admin, password: p }")
    for number, port in enumerate(ports):
        config = config.replace(f"nats-{number}.nats:6222", f"127.0.0.1:{port}")
    for number, port in enumerate(ports):
        own = config.replace("server_name: nats-0", f"server_name: nats-{number}").replace("0.0.0.0:6222", f"127.0.0.1:{port}")
        file = folder / str(number) / "nats.conf"
        file.parent.mkdir(parents=True)
        file.write_text(own.replace("store_dir: /data", f"store_dir: {file.parent}/data"))
        # The port for clients is that of the options.
        yield family.add(Nats(file.parent, "-c", file, jetstream=False))


def test_an_administrator_makes_the_streams_and_relays_use_them(family):
    certificate = Authority(family.folder / "nats-authority").issue(family.folder / "nats-certificate", ["IP:127.0.0.1"])
    addresses = [f"tls://{server.address}" for server in servers(family, certificate)]

    def relay(name, **shared):
        shared = {"servers": addresses, "tls": {"ca-file": str(certificate / "ca.crt")}, **shared}
        targets = {"enabled": True, "targets": {"central": {"address": NOBODY}}}
        return family.relay(name, {"upstream": {"address": NOBODY}, "shared": shared, "remote-write": targets})

    def is_used(one):
        return one.sum("pyroscope_remote_write_shared_usable") == 1

    login = {"nkey-file": str(CREDENTIALS)}
    user = relay("cluster-user", policy="bind", auth=login)
    missing = "create the stream and its consumers, or set shared.policy: manage"
    eventually("the relay misses the stream", lambda: missing in user.text())
    maker = relay("cluster-maker", auth={"user": "admin", "password": "p"})
    eventually("the stream is made", lambda: is_used(maker))
    eventually("the stream is used", lambda: is_used(user))
    [row] = json.loads(family.run("shared", "list", "--json", "--config", maker.file).stdout)
    assert row["replicas"] == 3
    ended = family.run("shared", "check", "--config", user.file)
    assert ended.returncode == 0, ended.stdout + ended.stderr
