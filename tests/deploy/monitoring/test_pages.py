"""The statements of the runbook and the README are true."""

import re
import subprocess

import pytest

from files import RUNBOOK, alerts
from loopback import readme
from loopback.processes import ROOT, Process, need

README = ROOT / "deploy/monitoring/README.md"
PAGES = sorted(page for page in RUNBOOK.glob("*.md") if page.name != "README.md")


def test_every_alert_has_a_page_and_every_page_an_alert():
    assert {page.stem for page in PAGES} == set(alerts())
    rows = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \|", (RUNBOOK / "README.md").read_text(), re.M)
    assert rows == [(name, rule["labels"]["severity"]) for name, rule in alerts().items()]
    assert f"{len(rows)} alerts" in README.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_it_means_how_to_see_it_and_what_to_do(page):
    text = page.read_text()
    assert re.findall(r"^#+ .*$", text, re.M) == [f"# {page.stem}", "## How to see it", "## What to do"]
    assert len(text.splitlines()) < 30


def test_the_annotation_of_an_alert_prints_its_page(family):
    for name, rule in alerts().items():
        _, *words = rule["annotations"]["runbook"].split()
        assert family.run(*words).stdout.startswith(f"# {name}\n"), name


def test_what_pages_name_is_there(family):
    metrics = set(re.findall(r"`(pyroscope_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    keys = (ROOT / "docs/configuration.md").read_text()
    for page in [*PAGES, RUNBOOK / "README.md", README]:
        assert list(readme.broken_links(page)) == [], page
        for code in re.findall(r"`([^`\n]+)`", page.read_text()):
            if code.startswith("pyroscope_"):
                assert code in metrics, f"{page.name}: {code}"
            elif code.startswith("pyrotee "):
                words = code.split()[1:]
                # A command, and perhaps a subcommand of it.
                names = [word for word in words[:2] if word[0].islower()]
                usage = family.run(*names, "--help").stdout
                flags = [word for word in words if word.startswith("--")]
                assert usage and all(flag in usage for flag in flags), f"{page.name}: {code}"
            elif re.fullmatch(r"(spool|shared|tee|upstream|shutdown|reload)\.[a-z-]+", code):
                assert f"`{code}`" in keys, f"{page.name}: {code}"


# How each command of the README is tried.
COMMANDS = {
    "promtool check rules deploy/helm/pyrotee/rules/pyrotee.yaml": "run as it is",
    "prometheus --config.file=deploy/monitoring/prometheus.yaml "
    "--storage.tsdb.path=/tmp/pyrotee-prometheus": "run with a path and a port of the test",
}


def test_every_command_of_the_readme_is_tried():
    readme.hold([README], COMMANDS)


def test_the_rules_pass_the_check_of_the_readme(promtool):
    check, _ = COMMANDS
    run = subprocess.run([promtool, *check.split()[1:]], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_prometheus_starts_with_the_configuration_of_the_readme(tmp_path):
    _, command = COMMANDS
    options = [option for option in command.split()[1:] if "/tmp/" not in option]
    options += [f"--storage.tsdb.path={tmp_path / 'tsdb'}", "--web.listen-address=127.0.0.1:0"]
    config = options[0].replace("deploy", str(ROOT / "deploy"))
    process = Process(tmp_path, "prometheus", [need("prometheus", "prometheus"), config, *options[1:]])
    try:
        process.says("(Server is ready)")
    finally:
        process.stop()
