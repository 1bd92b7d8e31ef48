"""The example of Alloy in front of a relay: its relay is run, and its files are read and compared with each other."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from loopback import readme
from loopback.processes import ROOT, eventually

ALLOY = ROOT / "deploy/alloy"
COMPOSE = yaml.safe_load((ALLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
RELAY = yaml.safe_load((ALLOY / "pyrotee/pyrotee.yaml").read_text())

# The labels of a profile that pyroscope.scrape made, in the notation of `pyrotee send --name`.
SCRAPED = "alloy{__delta__=false,instance=127.0.0.1:12345,job=pyroscope.scrape.applications}"

CAPTURES = sorted((ROOT / "tests/captures").glob("pyroscope-rs-*.http"))


@pytest.fixture
def stand(family, tmp_path):
    """A running relay with the example's configuration, between stand-ins for the two Pyroscopes."""
    local, central = family.sink("local"), family.sink("central")
    config = yaml.safe_load((ALLOY / "pyrotee/pyrotee.yaml").read_text())
    config["upstream"]["address"] = f"http://{local.address}"
    config["spool"]["dir"] = str(tmp_path / "spool")
    config["remote-write"]["targets"]["central"]["address"] = f"http://{central.address}"
    return family.relay("relay", config), local, central


@pytest.mark.parametrize("profile", [["--as", "push", "--name", SCRAPED], *(["--file", file] for file in CAPTURES)], ids=str)
def test_a_pushed_profile_reaches_both_and_the_target_sees_the_tag(family, stand, profile):
    relay, local, central = stand
    sent = family.run("send", "--to", f"http://{relay.address}", *profile)
    assert sent.returncode == 0, sent.stderr
    (before,) = eventually("the local Pyroscope's profile", local.profiles)
    (after,) = eventually("the central Pyroscope's profile", central.profiles)
    assert before["surface"] == after["surface"] == "push"
    tags = RELAY["remote-write"]["targets"]["central"]["tags"]
    assert tags and after["tags"] == before["tags"] | tags


def test_alloy_writes_to_the_relay_and_nowhere_else():
    config = (ALLOY / "config.alloy").read_text()
    hosts = re.findall(r'^\s*url = "http://(\w+):(\d+)"', config, re.M)
    assert hosts == [("relay", "4040")] and "relay" in SERVICES
    assert "listen" not in RELAY, "the relay listens on its default port, 4040"
    assert re.findall(r"forward_to\s*= \[pyroscope\.write\.(\w+)\.receiver\]", config) == re.findall(r'^pyroscope\.write "(\w+)"', config, re.M)


def test_alloy_scrapes_only_what_is_there():
    targets = re.findall(r'"__address__" = "([^"]+)"', (ALLOY / "config.alloy").read_text())
    hosts = {target.split(":")[0] for target in targets}
    assert hosts - {"127.0.0.1"} <= SERVICES.keys() and hosts


@pytest.mark.nightly
def test_alloys_own_parser_accepts_its_configuration():
    assert shutil.which("go"), "go is missing: apt-get install golang"
    command = ["go", "run", "-mod=readonly", ".", ALLOY / "config.alloy"]
    ended = subprocess.run(command, cwd=Path(__file__).parent / "parser", capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["pyroscope.scrape.applications", "pyroscope.write.relay"]


def test_the_services_are_those_of_the_configuration_and_closed():
    addresses = [RELAY["upstream"]["address"], *(target["address"] for target in RELAY["remote-write"]["targets"].values())]
    assert {re.fullmatch(r"http://(\w+):4040", address)[1] for address in addresses} == SERVICES.keys() - {"alloy", "relay"}
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert name == "relay" or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ALLOY / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], volume


def test_the_commands_of_the_readme_name_what_is_there(family):
    """The commands of `docker compose` need the image of Alloy, which this machine cannot fetch."""
    for command in readme.commands(ALLOY / "README.md"):
        start = "docker compose -f deploy/alloy/compose.yaml "
        assert command.startswith(start), command
        verb, *rest = command.removeprefix(start).split()
        assert verb in ["up", "exec", "down"]
        if verb == "exec":
            assert rest[0] in SERVICES and rest[1] == "pyrotee"
            assert family.run(*rest[2:], "--help").returncode == 0
