"""A container of the image does its work with a read-only root and without any rights."""

from relay import eventually


def test_it_relays_and_tees(net):
    net.sink("local")
    net.sink("central")
    net.relay()
    sent = net.send("--count=3")
    digests = sorted(line.split()[3] for line in sent.splitlines())
    assert len(digests) == 3
    eventually("central has all", lambda: net.received("central") == digests)
    assert net.received("local") == digests


def test_it_has_no_rights(net, engine):
    net.sink("local")
    process = engine.podman("inspect", "--format={{.State.Pid}}", f"{net.name}-local")
    status = dict(line.split(":\t") for line in open(f"/proc/{process}/status").read().splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65532"] * 4
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_it_runs_with_the_configuration_that_it_brings(net, engine):
    net.start("relay")
    net.ready()
    checked = engine.podman("exec", f"{net.name}-relay", "/usr/bin/pyrotee", "check")
    assert "http://127.0.0.1:4042" in checked


def test_its_health_check_tells_a_relay_from_none(net, engine):
    net.relay()
    assert engine.podman("healthcheck", "run", f"{net.name}-relay", check=False).returncode == 0
    net.sink("local")
    asked = net.exec("local", "healthcheck", "--admin=local:4040", check=False)
    assert asked.returncode == 1 and "404" in asked.stderr, asked
    asked = net.exec("local", "healthcheck", check=False)
    assert asked.returncode == 1 and "refused" in asked.stderr, asked


def test_a_stop_delivers_what_waits(net):
    net.sink("local")
    net.sink("central", "--delay=2s")
    net.relay("--env=PYROTEE__REMOTE_WRITE__TARGETS__CENTRAL__QUEUE_WORKERS=1")
    net.send("--count=3")
    assert net.target()["pending"]["profiles"] >= 2, "nothing was left to drain"
    assert net.end("relay", "stop", "--time=60") == 0
    assert net.received("central") == net.received("local") != []


def test_a_sink_stops_at_once(net):
    net.sink("local")
    assert net.end("local", "stop", "--time=60") == 0


def test_a_killed_relay_delivers_from_its_volume(net):
    spool = [net.volume("spool"), "--env=PYROTEE__SPOOL__DIR=/var/lib/pyrotee/spool"]
    net.sink("local")
    net.relay(*spool)
    net.send("--count=3")
    assert net.target()["pending"]["profiles"] == 3
    assert net.end("relay", "kill", "--signal=KILL") == 137
    net.remove("relay")
    net.sink("central")
    net.relay(*spool)
    eventually("central has all", lambda: net.received("central") == net.received("local") != [])
    eventually("it is accounted", lambda: net.target()["pending"]["profiles"] == 0)
    assert net.target()["dropped"] == {}
