"""The commands in the READMEs of deploy/helm, and the Helm commands in the top README. Helm commands run through Helm's library, which needs no
cluster: an install is rendered with the same release, namespace, files and `--set`. kubectl has no cluster to talk to: the test looks up the
objects that its commands name."""

import re
import shlex

import pytest
import yaml
from helm_python import chart as helm

from support import CHART, HERE, IMAGE, KUBERNETES, ROOT, Chart, find, set_path, values_of

LEAST = {"image": IMAGE, "config": {"upstream": {"address": "http://a"}}}
FIRST = ROOT / "README.md"
READMES = [FIRST, *sorted((ROOT / "deploy/helm").rglob("README.md"))]
COMMANDS = [
    (readme, command.replace("\\\n", " ").strip())
    for readme in READMES
    for block in re.findall(r"```console\n(.*?)```", readme.read_text(), re.S)
    for command in re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.M)
    if readme != FIRST or command.startswith("helm ")
]


def options(words):
    """Positional words, and the options as a map of lists. All Helm options in the READMEs except these take a value."""
    bare, named, words = [], {}, list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            bare.append(word)
        elif word in {"--create-namespace", "--install", "--logs", "--strict", "--wait"}:
            named[word] = []
        else:
            key, _, value = word.partition("=")
            named.setdefault(key, []).append(value or words.pop(0))
    return bare, named


def values(named):
    merged = {}
    for file in named.get("--values", []):
        merged |= values_of(ROOT / file)
    for setting in named.get("--set", []):
        path, _, text = setting.partition("=")
        merged = set_path(merged, path, yaml.safe_load(text))
    return merged


@pytest.mark.parametrize(("readme", "command"), COMMANDS, ids=lambda one: str(one)[-60:])
def test_the_commands_work(chart_dir, tmp_path, readme, command):
    tool, verb, *words = shlex.split(command.removesuffix("&"), comments=True)
    bare, named = options(words)
    namespace = named.get("--namespace", ["default"])[0]
    known = {"--namespace", "--create-namespace", "--values", "--set", "--logs", "--install", "--strict", "--wait"}
    assert tool in {"helm", "kubectl"}
    if tool == "helm":
        assert set(named) <= known | {"--kube-version", "--destination", "--set-file"}, command
    if tool == "helm" and verb in {"install", "upgrade", "template"}:
        release, path = bare
        assert path == "deploy/helm/pyrotee"
        assert Chart(chart_dir).render(values(named), KUBERNETES, release, namespace)
    elif tool == "helm" and verb == "lint":
        report = helm.lint(chart_dir, values(named), strict=True, kube_version=f"v{KUBERNETES}")
        assert report["errors"] == []
    elif tool == "helm" and verb == "package":
        assert bare == ["deploy/helm/pyrotee"]
        assert helm.package(chart_dir, destination=tmp_path).endswith(".tgz")
    elif tool == "helm" and verb == "test":
        objects = Chart(chart_dir).objects(LEAST, KUBERNETES, bare[0], namespace)
        assert find(objects, "Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"
    elif tool == "kubectl" and verb == "rollout":
        restart, (kind, name) = bare[0], bare[1].split("/")
        assert restart == "restart"
        objects = Chart(chart_dir).objects(LEAST, KUBERNETES, "pyrotee", namespace)
        assert find(objects, kind.title(), name)
    elif tool == "kubectl" and verb == "exec":
        kind, name = bare[0].split("/")
        objects = Chart(chart_dir).objects(LEAST, KUBERNETES, "pyrotee", namespace)
        containers = find(objects, kind.title(), name)["spec"]["template"]["spec"]["containers"]
        assert named["--container"] == [containers[0]["name"]]
    elif tool == "kubectl":
        assert verb == "port-forward"
        kind, name = bare[0].split("/")
        objects = Chart(chart_dir).objects(LEAST, KUBERNETES, "pyrotee", namespace)
        ports = [port["port"] for port in find(objects, kind.title(), name)["spec"]["ports"]]
        assert int(bare[1].split(":")[-1]) in ports
    else:
        pytest.fail(f"no test knows how to run: {command}")


def test_there_are_commands():
    assert {command.split()[1] for _, command in COMMANDS} >= {"install", "test", "lint", "package"}


def test_the_application_in_the_readme_is_the_one_that_is_tested():
    readme = (CHART / "README.md").read_text()
    for file in ("Chart.yaml", "values.yaml", "templates/deployment.yaml"):
        shown = re.search(rf"```yaml\n# {re.escape(file)}\n(.*?)```", readme, re.S)[1]
        tested = (HERE / "application" / file).read_text()
        assert shown.replace("repository: oci://registry.example.com/charts", "repository: file://../../../../deploy/helm/pyrotee") == tested
