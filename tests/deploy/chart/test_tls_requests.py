"""The requests that the chart makes over TLS, made to a real relay that requires certificates at both ports: probes, the scrape, and the containers of `helm test`."""

import ssl
import urllib.error
import urllib.request

import pytest
import yaml

from clusters import MOUNTED, files_of
from loopback.pki import Authority, Mount
from loopback.processes import SOON, Family
from support import IMAGE, find, relay

# One certificate for all: relay, clients and Prometheus.
OWN = {"secretName": "own", "caSecretName": "own"}
VALUES = {
    "image": IMAGE,
    "config": {"upstream": {"address": "http://pyroscope:4040"}},
    "tls": {"listen": OWN, "admin": OWN},
    "test": {"clientSecretName": "own"},
}


class Stand:
    """A relay with the rendered configuration and the files of its pod."""

    def __init__(self, folder, family, objects):
        self.family, self.objects = family, objects
        # The address on this machine, beside the names of the Services.
        names = ["IP:127.0.0.1", "DNS:rel-pyrotee.profiling.svc", "DNS:rel-pyrotee-admin.profiling.svc"]
        self.own = Authority(folder / "authority").issue(folder / "own", names)
        self.secrets = {"own": {key: self.own / key for key in ("tls.crt", "tls.key", "ca.crt")}}
        mount = Mount(folder / "relay")
        mount.write(files_of(find(objects, "Deployment")["spec"]["template"]["spec"], self.secrets))
        text = find(objects, "ConfigMap")["data"]["pyrotee.yaml"].replace(MOUNTED, str(mount.folder))
        upstream = {"address": f"http://{family.sink('upstream').address}"}
        self.relay = family.relay("relay", {**yaml.safe_load(text), "upstream": upstream})

    def admin(self, path, context):
        with urllib.request.urlopen(f"https://{self.relay.admin}{path}", timeout=SOON, context=context) as answer:
            return answer.read()

    def hook(self, folder, name):
        """Runs a container of the test's pod, with the files of that pod."""
        pod = find(self.objects, "Pod")["spec"]
        [container] = [one for one in pod["initContainers"] + pod["containers"] if one["name"] == name]
        mount = Mount(folder / f"test-{name}")
        mount.write(files_of(pod, self.secrets))
        places = {
            "https://rel-pyrotee.profiling.svc:4040": f"https://{self.relay.address}",
            "https://rel-pyrotee-admin.profiling.svc:4041": f"https://{self.relay.admin}",
        }
        assert set(places) & set(container["args"])
        args = [places.get(word, word).replace(MOUNTED, str(mount.folder)) for word in container["args"]]
        return self.family.run(*args)


@pytest.fixture(scope="module")
def stand(chart, tmp_path_factory):
    family = Family(tmp_path_factory.mktemp("relays"))
    yield Stand(tmp_path_factory.mktemp("stand"), family, chart.objects(VALUES))
    family.end()


def test_the_probes_are_answered_without_a_certificate(stand):
    # As a kubelet: it verifies nothing.
    kubelet = ssl._create_unverified_context()
    container = relay(find(stand.objects, "Deployment"))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert stand.admin(container[probe]["httpGet"]["path"], kubelet)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        stand.admin("/metrics", kubelet)


def test_the_scrape_is_answered_with_a_certificate(stand):
    prometheus = ssl.create_default_context(cafile=stand.own / "ca.crt")
    prometheus.load_cert_chain(stand.own / "tls.crt", stand.own / "tls.key")
    assert b'role="admin"' in stand.admin("/metrics", prometheus)


@pytest.mark.parametrize("name", ["ready", "send"])
def test_the_containers_of_helm_test_succeed(stand, tmp_path, name):
    ended = stand.hook(tmp_path, name)
    assert ended.returncode == 0, ended.stderr


def test_the_status_in_the_pod_shows_a_certificate(stand):
    status = ["status", "--admin", f"https://{stand.relay.admin}", "--ca-file", stand.own / "ca.crt"]
    ended = stand.family.run(*status)
    assert ended.returncode != 0 and "certificate" in ended.stderr, ended.stderr
    ended = stand.family.run(*status, "--cert-file", stand.own / "tls.crt", "--key-file", stand.own / "tls.key")
    assert ended.returncode == 0, ended.stderr
