"""The faults of the shared backlog that are injected, each into a real nats-server, and where each is seen."""

import json
import signal

from faults import NOBODY, Fault
from loopback.pki import Authority
from loopback.processes import Nats, old_nats_server


class FrozenNats(Nats):
    """A nats-server that can be frozen: its connections stay open, and nobody answers."""

    def freeze(self, _family, relay):
        relay.says("(connected to NATS)")
        self.process.send_signal(signal.SIGSTOP)

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        return super().stop()


def shared_by(address, **more):
    """The keys of a relay that shares its backlog through the server at `address`."""
    return {"shared": {"servers": [address], "replicas": 1, "after": "1s", **more}}


def delete_stream(family, relay):
    """Deletes the stream of the relay's target while the relay uses it, as an administrator may."""
    relay.says("(the shared backlog is in use)")
    config = json.loads(relay.file.read_text())
    del config["remote-write"]
    file = relay.file.with_suffix(".admin.yaml")
    file.write_text(json.dumps(config))
    ended = family.run("shared", "delete", f"{config['shared']['prefix']}-central", "--yes", "--config", file)
    assert ended.returncode == 0, ended.stderr


def of_shared(title, config, log, status, shown, alert, **others):
    """A fault of the shared backlog. Its target is down, unless `others` say something else, so that profiles are to be handed over."""
    others = {"target": NOBODY, "fields": "error", **others}
    return Fault(f"shared backlog: {title}", log, status, alert, config=config, shown=shown, **others)


def of_connection(title, address, error, auth=None, **others):
    """A fault that keeps the relay from connecting to the server at `address`, with `auth` as the keys of its login."""
    auth = {"auth": auth} if auth else {}
    log = f'cannot connect to NATS: .*error="[^"]*{error}'
    status = "^shared: .*, not connected"
    return of_shared(title, shared_by(address, **auth), log, status, "not connected", "PyroteeSharedDisconnected", **others)


def of_stream(title, address, error, policy="manage", **others):
    """A fault that keeps the relay from using the target's stream."""
    config = shared_by(address, prefix="faults", policy=policy)
    log = f'the shared backlog cannot be used: .*error="[^"]*{error}'
    return of_shared(title, config, log, rf"^  central: unusable: .*{error}", "unusable", "PyroteeSharedDisconnected", **others)


def of_profiles(title, config, log, note, alert, **others):
    """A fault that keeps single profiles out of a stream that is ready."""
    return of_shared(title, config, log, rf"^    .*{note}", note, alert, **others)


def shared_faults(family):
    """All faults of the shared backlog, with their servers running, which end with `family`."""
    folder = family.folder / "brokers"

    def nats(name, *options, kind=Nats, **more):
        return family.add(kind(folder / name, *options, **more))

    def url(server):
        return f"nats://{server.address}"

    well = nats("well")
    frozen = nats("frozen", kind=FrozenNats)
    locked = nats("locked", "--auth", "right")
    plain = nats("plain", jetstream=False)
    old = nats("old", program=old_nats_server())
    narrow_config = folder / "narrow.conf"
    narrow_config.write_text("max_payload: 8KB\n")
    narrow = nats("narrow", "-c", narrow_config)
    certificate = Authority(folder / "authority").issue(folder / "certificate", ["IP:127.0.0.1"])
    private = nats("private", "--tls", "--tlscert", certificate / "tls.crt", "--tlskey", certificate / "tls.key")

    # The stream that is to be deleted. The relay that loses it makes none.
    targets = {"enabled": True, "targets": {"central": {"address": NOBODY}}}
    maker = family.relay("maker", {"upstream": {"address": NOBODY}, "remote-write": targets, **shared_by(url(well), prefix="faults")})
    maker.says("(the shared backlog is in use)")
    maker.stop()

    return [
        of_connection("NATS refuses connections", "nats://127.0.0.1:1", "connection is refused"),
        of_connection("NATS hangs", url(frozen), "does not answer", then=frozen.freeze),
        of_connection("wrong credentials", url(locked), "refuses the login", auth={"token": "wrong"}),
        of_connection(
            "the server's certificate is of an unknown authority", url(private).replace("nats:", "tls:"), "signed by"
        ),
        of_stream("JetStream is off", url(plain), "has no JetStream"),
        of_stream("NATS 2.9, `policy: manage`", url(old), "cannot create a consumer"),
        of_stream("the stream was deleted, `policy: bind`", url(well), "is missing", policy="bind", then=delete_stream),
        of_profiles(
            "the stream is full",
            shared_by(url(well), prefix="full", **{"max-bytes": "1MiB"}),
            "the shared backlog is full",
            "stream was full",
            "PyroteeSharedStreamNearlyFull",
            profile=b"main;work 10\n" * 8000,
        ),
        of_profiles(
            "profiles above `max_payload`",
            shared_by(url(narrow), prefix="faults"),
            "a profile is longer than NATS takes",
            "longer than NATS takes",
            "PyroteeQueueAlmostFull",
            options={"queue-size": 20},
        ),
        of_profiles(
            "two relays mean different remotes by one name",
            shared_by(url(well), prefix="mismatch"),
            "another relay hands profiles over",
            "given back",
            "PyroteeSharedMismatch",
            target=None,
            other_target=NOBODY,
        ),
    ]
