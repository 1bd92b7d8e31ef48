"""Helpers: render the chart, and find objects in the result."""

import functools
import json
import os
import re
import subprocess
from pathlib import Path

import kubernetes_validate
import yaml
from helm_python import _native
from helm_python import chart as helm

from loopback.pki import Authority
from loopback.processes import CREDENTIALS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CHART = ROOT / "deploy/helm/pyrotee"
FIXTURES = HERE / "fixtures"
GOLDEN = HERE / "golden"
CI = sorted((CHART / "ci").glob("*-values.yaml"))

# The version of Kubernetes for golden renders: old enough to be in use, new enough to know every field that the chart may write.
KUBERNETES = "1.34.0"
# The oldest version that the chart supports, the first with native sidecars, and the newest that the schemas know.
VERSIONS = ["1.25", "1.29", kubernetes_validate.utils.major_minor(kubernetes_validate.latest_version())]
# Without a cache, the library reads megabytes of schemas for each object.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)
IMAGE = {"registry": "registry.example.com"}
CUSTOM = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute", "Certificate"}


def values_of(path):
    """Values as Helm reads them, because Helm's YAML differs from Python's."""
    return helm.values_from_yaml(Path(path).read_text())


def supported(path, version):
    """Whether the values can work in this version: before 1.29 the chart refuses a native sidecar, which another test shows."""
    return Path(path).name != "sidecar-values.yaml" or version != "1.25"


class Chart:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.loaded = helm.Chart.load(directory)
        self.rendered = {}

    def render(self, values=None, kubernetes=KUBERNETES, name="rel", namespace="profiling"):
        """The text of each template. Calls the library below its Python wrapper, which lacks some of Helm's options."""
        options = {"name": name, "namespace": namespace, "kube_version": f"v{kubernetes}"}
        asked = json.dumps(values or {}), json.dumps(options)
        # Many tests use the same examples.
        if asked not in self.rendered:
            self.rendered[asked] = _native.call_string("helm_render", self.loaded._raw(), *asked)
        return json.loads(self.rendered[asked])

    def objects(self, *args, **kwargs):
        """All objects, in the order of their files."""
        rendered = self.render(*args, **kwargs)
        texts = [rendered[path] for path in sorted(rendered) if path.endswith(".yaml")]
        return [one for text in texts for one in yaml.safe_load_all(text) if one]

    def notes(self, *args, **kwargs):
        return next(text for path, text in self.render(*args, **kwargs).items() if path.endswith("NOTES.txt"))


def find(objects, kind, name=None):
    """The only object of a kind, or the object of that kind with this name."""
    found = [one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}: {[o['metadata']['name'] for o in found]}"
    return found[0]


def kinds(objects):
    return {one["kind"] for one in objects}


def pod_specs(objects):
    for one in objects:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]
        elif one["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}:
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def relay(workload):
    """The container of the relay in a workload."""
    pod = workload["spec"]["template"]["spec"]
    containers = pod.get("initContainers", []) + pod["containers"]
    return next(one for one in containers if one["name"] == "pyrotee")


def secrets_of(pod):
    """The Secrets whose keys are files in the relay's directory of secrets. Fails if that mount, or that of the configuration, would never change."""
    container = next(one for one in pod.get("initContainers", []) + pod["containers"] if one["name"] == "pyrotee")
    mounts = {one["name"]: one for one in container["volumeMounts"]}
    assert not [one for one in mounts.values() if "subPath" in one or "subPathExpr" in one]
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert set(volumes["pyrotee-config"]["configMap"]) == {"name"} and mounts["pyrotee-config"]["mountPath"] == "/etc/pyrotee"
    if "pyrotee-secrets" not in mounts:
        assert "pyrotee-secrets" not in volumes
        return []
    assert mounts["pyrotee-secrets"] == {"name": "pyrotee-secrets", "mountPath": "/run/secrets/pyrotee", "readOnly": True}
    return [source["secret"]["name"] for source in volumes["pyrotee-secrets"]["projected"]["sources"]]


def set_path(values, path, value):
    """A copy of the values in which the key `path`, such as `a.b.c`, is set."""
    copy = json.loads(json.dumps(values))
    at = copy
    *folders, last = path.split(".")
    for folder in folders:
        at = at.setdefault(folder, {})
    at[last] = value
    return copy


def binary():
    """The real binary, whose `check` judges configurations."""
    path = Path(os.environ.get("PYROTEE", ROOT / "target/debug/pyrotee"))
    assert path.exists(), f"{path} is missing: cargo build, or name one in PYROTEE"
    return path


def with_files(folder, text, contents=None):
    """The text with the files of `${file:PATH}` in `folder` instead. A file has the content of its name in `contents`, else some, as from a user's Secret."""

    def here(match):
        own = folder / Path(match[1]).relative_to("/")
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text((contents or {}).get(own.name, "x"))
        return "${file:%s}" % own

    return re.sub(r"\$\{file:([^}]*)\}", here, text)


def with_certificates(folder, text):
    """The text with files of one certificate instead of those that it names, as if all Secrets had the same certificate."""
    if not re.search(r"^ *cert-file: ", text, re.M):
        return text
    own = Authority(folder / "authority").issue(folder / "certificates", ["DNS:relay.example.com"])
    names = {"cert": "tls.crt", "key": "tls.key", "ca": "ca.crt", "client-ca": "ca.crt"}
    return re.sub(r"^( *)(cert|key|ca|client-ca)-file: .*$", lambda it: f"{it[1]}{it[2]}-file: {own / names[it[2]]}", text, flags=re.M)


def with_credentials(text):
    """The text with credentials of these tests instead of those of NATS that it names."""
    return re.sub(r"^( *)creds-file: .*$", lambda it: f"{it[1]}creds-file: {CREDENTIALS}", text, flags=re.M)


def check(tmp_path, text, environment=None, flags=()):
    """Runs `pyrotee check --print` on a text. Variables and files that the text uses and that are not in `environment` get a value, as from a user's Secret."""
    file = tmp_path / "pyrotee.yaml"
    text = with_credentials(with_certificates(tmp_path, with_files(tmp_path, text, environment)))
    file.write_text(text)
    variables = {name: "x" for name in re.findall(r"\$\{(\w+)\}", text)}
    return subprocess.run(
        [binary(), "check", "--print", "--config", file, *flags],
        env={**variables, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=30,
    )
