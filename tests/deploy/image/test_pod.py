"""An application and its relay in one pod, as Kubernetes runs a sidecar: the relay is ready before the application starts and stops after it."""

from containers.engine import ROOT, python
from relay import eventually

PROGRAM = ROOT / "tests/interop/programs/python/busy.py"
SECONDS = 15


def test_nothing_that_the_application_sent_is_lost(net, engine, base):
    pod = f"{net.name}-pod"
    engine.podman("pod", "create", f"--name={pod}", f"--network={net.name}")
    net.sink("local")
    net.sink("central")
    spool = [net.volume("spool"), "--env=PYROTEE__SPOOL__DIR=/var/lib/pyrotee/spool"]
    net.relay(*spool, pod=pod)

    mounts = [f"--volume={folder}:{folder}:ro" for folder in (*python(), PROGRAM.parent)]
    interpreter = f"{python()[-1]}/bin/python"
    engine.podman(
        "run", "--detach", f"--name={net.name}-app", f"--pod={pod}", "--read-only", "--cap-drop=ALL", *mounts,
        base, interpreter, PROGRAM, "http://127.0.0.1:4040", SECONDS,
    )  # fmt: skip
    eventually("profiles of the SDK arrive", lambda: len(net.received("central")) >= 2)

    # The target stops, and the relay is killed while the target is away.
    net.end("central", "stop", "--time=10")
    eventually("profiles wait", lambda: net.target()["pending"]["profiles"] >= 2)
    net.end("relay", "kill", "--signal=KILL")
    engine.podman("start", f"{net.name}-relay")
    net.ready()
    engine.podman("start", f"{net.name}-central")

    assert int(engine.podman("wait", f"{net.name}-app")) == 0, net.logs("app")
    eventually("all is delivered", lambda: net.target()["pending"]["profiles"] == 0)
    assert net.end("relay", "stop", "--time=60") == 0
    local, central = (set(net.received(name)) for name in ("local", "central"))
    assert len(local) >= 4
    # More profiles at central are no fault: just after a start the relay may resolve the name of central only.
    assert local <= central
