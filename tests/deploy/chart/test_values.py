"""values.yaml, its schema, the README's table, the examples in ci/ and the relay's documentation agree."""

import json
import os
import re

import yaml

from schema_text import described, written
from support import CHART, CI, ROOT, values_of
from values_table import rows, table

VALUES = (CHART / "values.yaml").read_text()
OTHER_NAME = "#/definitions/otherName"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
START, END = "<!-- values: made of values.yaml -->\n", "<!-- end of values -->\n"


def resolve(schema):
    return SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def keys(schema, path=""):
    """Paths of the schema's leaves. A key of free choice is called NAME, as in docs/configuration.md."""
    if schema.get("$ref") == OTHER_NAME:
        return
    schema = resolve(schema)
    below = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict) and path.startswith("config"):
        below["NAME"] = schema["additionalProperties"]
    if not below:
        yield path
    for key, one in below.items():
        yield from keys(one, f"{path}.{key}".lstrip("."))


def leaves(values, path=""):
    if isinstance(values, dict) and values:
        for key, one in values.items():
            yield from leaves(one, f"{path}.{key}".lstrip("."))
    else:
        yield path


def test_every_key_has_a_meaning():
    assert [path for path, _, meaning in rows(VALUES) if not meaning] == []


def test_the_readme_has_the_table():
    readme = CHART / "README.md"
    before, rest = readme.read_text().split(START)
    current, after = rest.split(END)
    if os.environ.get("PYROTEE_RENEW") == "1":
        readme.write_text(f"{before}{START}\n{table(VALUES)}\n{END}{after}")
    else:
        assert current == f"\n{table(VALUES)}\n", "PYROTEE_RENEW=1 make test-deploy DEPLOY=chart renews it"


def test_the_schema_describes_every_value():
    text = written(described(SCHEMA, rows(VALUES))) + "\n"
    file = CHART / "values.schema.json"
    if os.environ.get("PYROTEE_RENEW") == "1":
        file.write_text(text)
    else:
        assert file.read_text() == text, "PYROTEE_RENEW=1 make test-deploy DEPLOY=chart renews it"


def other_names(schema, path=""):
    """Paths of the names of other charts that the schema lets pass."""
    for key, one in schema.get("properties", {}).items():
        here = f"{path}.{key}".lstrip(".")
        if one.get("$ref") == OTHER_NAME:
            yield here
        yield from other_names(one, here)


def test_names_of_other_charts_lead_to_values_of_this_one():
    template = (CHART / "templates/_other-names.tpl").read_text()
    names = yaml.safe_load(re.search(r'define "pyrotee.otherNames" -}}\n(.*?){{- end', template, re.S)[1])
    assert set(names) == set(other_names(SCHEMA))
    values = yaml.safe_load(VALUES)
    for other, ours in names.items():
        at = values
        for key in ours.split("."):
            if at == {} and ours.startswith("config."):
                break
            assert key in at, f"{other} leads to {ours}, which is not in values.yaml"
            at = at[key]


def test_the_schema_is_closed():
    def open_ones(schema, path):
        if schema.get("type") == "object" and "properties" in schema and schema.get("additionalProperties") is not False:
            yield path
        for key, one in schema.items():
            if isinstance(one, dict):
                yield from open_ones(one, f"{path}/{key}")

    # A parent chart may put any keys there.
    assert list(open_ones(SCHEMA, "")) == ["/properties/global"]


def test_values_and_schema_have_the_same_keys():
    values = yaml.safe_load(VALUES)
    for path in keys(SCHEMA):
        at = values
        for key in path.split("."):
            if path.startswith(("config.", "probes.", "resources.")) or not isinstance(at, dict):
                break
            assert key in at, f"{path} is not in values.yaml"
            at = at[key]


def test_every_option_is_in_an_example():
    shown = {leaf for file in CI for leaf in leaves(values_of(file))}
    for path, _, _ in rows(VALUES):
        assert any(leaf == path or leaf.startswith(f"{path}.") for leaf in shown), f"no file in ci/ sets {path}"


def test_the_schema_has_the_keys_of_the_relay():
    documented = set(re.findall(r"^\| `([a-zA-Z.-]+)` \|", (ROOT / "docs/configuration.md").read_text().split("Types:")[0], re.M))
    known = {path.removeprefix("config.") for path in keys(SCHEMA) if path.startswith("config.")}
    # Helm reads an unquoted `on` as true.
    assert known - {"tee.true"} == documented


def test_the_versions_agree():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    workspace = re.search(r'\[workspace\.package\]\nversion = "([^"]+)"', (ROOT / "Cargo.toml").read_text())[1]
    assert chart["appVersion"] == workspace
    application = yaml.safe_load((CHART.parents[2] / "tests/deploy/chart/application/Chart.yaml").read_text())
    assert application["dependencies"][0]["version"] == chart["version"]
