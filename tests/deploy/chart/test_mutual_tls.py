"""The example of mTLS between the relays of two clusters, with real relays: deploy/mtls."""

import re
import shutil
import socket
import ssl
import subprocess

import pytest
import yaml

from clusters import MTLS, Cluster, reach
from loopback import readme
from loopback.processes import SOON, Family, eventually
from support import ROOT, Chart, find, set_path, values_of

COMPOSE = yaml.safe_load((MTLS / "compose.yaml").read_text())
HOST = "profiles.central.example.com"


@pytest.fixture
def family(tmp_path_factory):
    family = Family(tmp_path_factory.mktemp("relays"))
    yield family
    family.end()


def start(family, edge_config, central_config, name):
    """Runs both relays between stand-ins for the Pyroscopes."""
    local, remote = family.sink("local"), family.sink("remote")
    central_config["upstream"]["address"] = f"http://{remote.address}"
    central = family.relay("central", central_config)
    edge_config["upstream"]["address"] = f"http://{local.address}"
    reach(edge_config, central, name)
    return family.relay("edge", edge_config), central, remote


def send(family, relay, name):
    sent = family.run("send", "--to", f"http://{relay.address}", "--name", name)
    assert sent.returncode == 0, sent.stderr


def arrived(remote, name):
    return [one for one in remote.profiles() if one["app"] == name]


def refused(central, kind):
    return central.sum("pyroscope_relay_tls_handshake_errors_total", kind=kind)


def reload(family, relay):
    ended = family.run("reload", "--admin", relay.admin)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def clusters(tmp_path, chart):
    edge, central = (Cluster(tmp_path, name, chart) for name in ("edge", "central"))
    edge.trust("central-ca", central.authority.certificate)
    central.trust("edge-ca", edge.authority.certificate)
    edge.sync()
    central.sync()
    return edge, central


def test_a_profile_of_the_edge_arrives_with_its_tag(family, clusters):
    edge, central = clusters
    relay, _, remote = start(family, edge.settings(), central.settings(), HOST)
    send(family, relay, "shop")
    [profile] = eventually("the profile", lambda: arrived(remote, "shop"))
    assert profile["tags"]["cluster"] == "edge"


def test_an_edge_without_a_certificate_is_refused_in_words(family, clusters, chart):
    edge, central = clusters
    edge.render(chart, set_path(edge.values, "tls.targets.central.secretName", ""))
    edge.sync()
    relay, other, remote = start(family, edge.settings(), central.settings(), HOST)
    send(family, relay, "shop")
    relay.says(r'(state="suspended" said="the server wants a client certificate)')
    status = family.run("status", "--admin", relay.admin).stdout
    assert "the server wants a client certificate" in status and "set cert-file and key-file" in status, status
    assert eventually("the count of the central relay", lambda: refused(other, "no_certificate"))
    assert arrived(remote, "shop") == []


def test_an_edge_of_another_authority_is_refused(family, clusters):
    edge, central = clusters
    edge.new_authority("stranger")
    edge.renew()
    edge.sync()
    relay, other, remote = start(family, edge.settings(), central.settings(), HOST)
    send(family, relay, "shop")
    relay.says(r'(state="suspended" said="the server does not know the authority)')
    other.says(r'WARN (client failed the TLS handshake) .*kind="certificate_unknown_ca"')
    assert arrived(remote, "shop") == []


def shown_by(relay, files):
    """The certificate that a relay shows to a client with the certificate in `files`. Raises if the relay refuses the client's."""
    context = ssl.create_default_context(cafile=files / "ca.crt")
    context.load_cert_chain(files / "tls.crt", files / "tls.key")
    with socket.create_connection(relay.address.rsplit(":", 1), timeout=SOON) as plain, context.wrap_socket(plain, server_hostname=HOST) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        # With TLS 1.3 the server refuses a certificate after the client's part of the handshake.
        client.recv(1)
        return client.getpeercert(binary_form=True)


def test_certificates_and_authority_rotate_without_a_restart(family, clusters, tmp_path):
    edge, central = clusters
    relay, other, remote = start(family, edge.settings(), central.settings(), HOST)
    first = edge.authority.certificate
    former = shutil.copytree(edge.mount.folder / "targets/central", tmp_path / "former")

    def step(name):
        for one in (relay, other):
            reload(family, one)
        send(family, relay, name)
        eventually(f"the profile after {name}", lambda: arrived(remote, name))

    step("start")
    edge.renew()
    central.renew()
    edge.sync()
    central.sync()
    step("renewed")
    edge.new_authority("second")
    central.trust("edge-ca", first, edge.authority.certificate)
    central.sync()
    step("both")
    edge.renew()
    edge.sync()
    step("issued")
    central.trust("edge-ca", edge.authority.certificate)
    central.sync()
    step("retired")
    newest = ssl.PEM_cert_to_DER_cert((central.mount.folder / "listen/tls.crt").read_text())
    assert shown_by(other, edge.mount.folder / "targets/central") == newest
    with pytest.raises(ssl.SSLError, match="unknown ca"):
        shown_by(other, former)
    assert "failed to upload" not in relay.text() and relay.sum("pyroscope_relay_config_stale_files") == 0


def at(folder, name):
    """The configuration of a service of compose.yaml, with the files of make-certificates in `folder`."""
    text = (MTLS / f"compose/{name}/pyrotee.yaml").read_text()
    return yaml.safe_load(text.replace("/run/certificates", str(folder / name)))


def make_certificates(folder):
    ended = subprocess.run([MTLS / "make-certificates", folder], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_the_relays_of_compose_take_the_certificates_of_the_script(family, tmp_path):
    make_certificates(tmp_path)
    relay, other, remote = start(family, at(tmp_path, "edge"), at(tmp_path, "central"), "central")
    send(family, relay, "before")
    eventually("the profile", lambda: arrived(remote, "before"))
    before = (tmp_path / "edge/tls.crt").read_bytes()
    make_certificates(tmp_path)
    assert (tmp_path / "edge/tls.crt").read_bytes() != before
    for one in (relay, other):
        reload(family, one)
    send(family, relay, "after")
    eventually("the profile after the renewal", lambda: arrived(remote, "after"))


def test_compose_mounts_directories_that_are_there():
    for name in ("edge", "central"):
        assert COMPOSE["services"][name]["volumes"] == [f"./compose/{name}:/etc/pyrotee:ro", f"./certificates/{name}:/run/certificates:ro"]
        assert (MTLS / f"compose/{name}/pyrotee.yaml").exists()
    assert "/deploy/mtls/certificates/" in (ROOT / ".gitignore").read_text().split()
    used = {re.search(r"http://([\w-]+):4042", (MTLS / f"compose/{name}/pyrotee.yaml").read_text())[1] for name in ("edge", "central")}
    assert used | {"edge", "central"} == COMPOSE["services"].keys()


def test_the_names_of_the_certificates_are_those_that_are_asked_for(clusters):
    edge, central = clusters
    assert edge.values["config"]["remote-write"]["targets"]["central"]["address"] == f"https://{HOST}"
    assert HOST in central.leaf["dnsNames"] and central.service["spec"]["ports"][0]["port"] == 443
    assert "pyrotee.profiling.svc" in central.leaf["dnsNames"], "the name of the release in the README"


@pytest.mark.parametrize("command", sorted(set(readme.commands(MTLS / "README.md"))))
def test_the_commands_name_what_is_there(family, chart, clusters, command):
    """There is no cluster, no Docker and no image on this machine; the tests above run what the commands start."""
    tool, *words = command.split()
    options = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word)
    by_name = dict(zip(("edge", "central"), clusters, strict=True))
    if tool == "deploy/mtls/make-certificates":
        assert (ROOT / tool).stat().st_mode & 0o111
    elif tool == "docker":
        assert words[1:3] == ["-f", "deploy/mtls/compose.yaml"]
        verb, *rest = words[3:]
        assert verb in ("up", "down") or rest[0] in COMPOSE["services"]
        if verb == "exec":
            assert rest[1] == "pyrotee" and family.run(rest[2], "--help").returncode == 0
    elif tool == "helm":
        cluster, values = words[words.index("--kube-context") + 1], words[words.index("--values") + 1]
        assert values == f"deploy/mtls/{cluster}/values.yaml"
        objects = Chart(ROOT / words[2]).objects(values_of(ROOT / values), name=words[1], namespace=words[words.index("--namespace") + 1])
        assert find(objects, "Service", "pyrotee")
    else:
        assert tool == "kubectl"
        cluster = by_name[options["context"]]
        if "apply" in words:
            assert (ROOT / options["filename"]).parent.name == options["context"]
        elif "get" in words:
            assert cluster.secrets[words[words.index("secret") + 1]].keys() == {"ca.crt"}
        else:
            assert words[words.index("generic") + 1] in str(cluster.pod["volumes"]) and options["from-file"].startswith("ca.crt=")
