"""Stand-ins for two clusters: Secrets that cert-manager fills, the kubelet that mounts them, and relays with the rendered configurations."""

import re

import yaml
from loopback.pki import Authority, Mount
from support import ROOT, find, relay, values_of

MTLS = ROOT / "deploy/mtls"
MOUNTED = "/run/secrets/pyrotee-tls"


class Cluster:
    """One of the two clusters: its Secrets, as files by name and key, and the volume of its relay."""

    def __init__(self, folder, name, chart):
        self.folder = folder / name
        self.secrets = {}
        documents = list(yaml.safe_load_all((MTLS / name / "certificates.yaml").read_text()))
        self.issuers = {one["metadata"]["name"]: one["spec"] for one in documents if one["kind"] == "Issuer"}
        certificates = [one["spec"] for one in documents if one["kind"] == "Certificate"]
        [self.root] = [one for one in certificates if one.get("isCA")]
        [self.leaf] = [one for one in certificates if not one.get("isCA")]
        self.new_authority("first")
        self.renew()
        self.values = values_of(MTLS / name / "values.yaml")
        self.mount = Mount(self.folder / "mount")
        self.render(chart, self.values)

    def new_authority(self, name):
        """What cert-manager does for the Certificate of the authority."""
        assert self.issuers[self.root["issuerRef"]["name"]] == {"selfSigned": {}}
        self.authority = Authority(self.folder / f"authority-{name}", f"{self.root['commonName']} {name}")
        self.secrets[self.root["secretName"]] = {"ca.crt": self.authority.certificate}

    def renew(self):
        """What cert-manager does for the Certificate of the relay, at its start and at each renewal."""
        assert self.issuers[self.leaf["issuerRef"]["name"]] == {"ca": {"secretName": self.root["secretName"]}}
        known = {"server auth": "serverAuth", "client auth": "clientAuth"}
        usages = ",".join(known[usage] for usage in self.leaf["usages"] if usage in known)
        files = self.authority.issue(self.folder / "leaf", [f"DNS:{name}" for name in self.leaf["dnsNames"]], usages)
        self.secrets[self.leaf["secretName"]] = {key: files / key for key in ("tls.crt", "tls.key", "ca.crt")}

    def trust(self, secret, *authorities):
        """Makes a Secret with the certificates of the other cluster's authorities, as the README does by kubectl."""
        bundle = self.folder / f"{secret}.crt"
        bundle.write_bytes(b"".join(authority.read_bytes() for authority in authorities))
        self.secrets[secret] = {"ca.crt": bundle}

    def render(self, chart, values):
        """Reads configuration and volumes of the relay out of the rendered chart."""
        objects = chart.objects(values)
        self.service = find(objects, "Service", "rel-pyrotee")
        self.config = find(objects, "ConfigMap")["data"]["pyrotee.yaml"]
        workload = find(objects, "Deployment")
        self.pod = workload["spec"]["template"]["spec"]
        paths = {one["name"]: one["mountPath"] for one in relay(workload)["volumeMounts"]}
        assert paths["pyrotee-tls"] == MOUNTED

    def sync(self):
        """What the kubelet does after a change of a Secret."""
        self.mount.write(files_of(self.pod, self.secrets))

    def settings(self, **changes):
        """The relay's configuration, with the mounted files at their place on this machine."""
        return {**yaml.safe_load(self.config.replace(MOUNTED, str(self.mount.folder))), **changes}


def files_of(pod, secrets):
    """The files of a pod's volume of certificates: path in the volume, and the file of a Secret, by name and key."""
    return {
        item["path"]: secrets[source["secret"]["name"]][item["key"]]
        for one in pod["volumes"]
        if one["name"] == "pyrotee-tls"
        for source in one["projected"]["sources"]
        for item in source["secret"]["items"]
    }


def reach(config, relay, name):
    """Leads the target of a configuration to a relay on this machine, whose certificate must still have `name`, the host of the address."""
    target = config["remote-write"]["targets"]["central"]
    assert re.fullmatch(rf"https://{re.escape(name)}(:\d+)?", target["address"])
    target["address"] = f"https://{relay.address}"
    target["tls"]["server-name"] = name
