"""The permissions on NATS that docs/scaling.md names suffice for a relay."""

import re

import pytest

from loopback.processes import ROOT, Nats, eventually

PAGE = (ROOT / "docs/scaling.md").read_text()
BIND = {verb: re.search(rf"{verb} = \[(.*?)\]", PAGE, re.S)[1] for verb in ["publish", "subscribe"]}
MORE = re.search(r"For `policy: manage` add `([^`]+)` and `([^`]+)`", PAGE).groups()
SIMPLER = re.search(r"`(\$JS\.API\.>)` and `(\$JS\.ACK\.>)` are simpler", PAGE).groups()

USERS = {
    "bind": BIND["publish"],
    "manage": BIND["publish"] + ", ".join(f'"{subject}"' for subject in MORE),
    "simple": ", ".join(f'"{subject}"' for subject in ["pyrotee.>", *SIMPLER]),
}


@pytest.fixture
def nats(tmp_path):
    users = "\n".join(
        f'{{ user: {name}, password: p, permissions {{ publish = [{publish}], subscribe = [{BIND["subscribe"]}] }} }}'
        for name, publish in USERS.items()
    )
    config = tmp_path / "nats.conf"
    config.write_text(f"accounts {{ PYROTEE {{ jetstream: enabled, users = [\n{users}\n] }} }}\n")
    server = Nats(tmp_path, "-c", config)
    yield server
    server.stop()


@pytest.mark.parametrize("makes", ["manage", "simple"])
def test_they_suffice_to_make_a_stream_and_to_use_one_that_is_there(family, nats, makes):
    sink = family.sink(f"{makes}-sink")

    def relay(user):
        return family.relay(
            f"{makes}-{user}",
            {
                "upstream": {"address": f"http://{sink.address}"},
                "shared": {
                    "servers": [f"nats://{nats.address}"],
                    "auth": {"user": user, "password": "p"},
                    "policy": "bind" if user == "bind" else "manage",
                    "replicas": 1,
                    "after": "1s",
                },
                "remote-write": {"enabled": True, "targets": {"central": {"address": "http://127.0.0.1:1"}}},
            },
        )

    def usable(one):
        return one.sum("pyroscope_remote_write_shared_usable") == 1

    maker = relay(makes)
    eventually("the stream is made", lambda: usable(maker))
    user = relay("bind")
    eventually("the stream is used", lambda: usable(user))
    # The first profiles find out that the target is down: their relay keeps them until their next try.
    for _ in range(10):
        family.run("send", "--to", f"http://{user.address}")
    published = "pyroscope_remote_write_shared_published_total"
    eventually("profiles are handed over", lambda: user.sum(published) >= 1)
    # Probes of the target take them out of the stream again.
    taken = "pyroscope_remote_write_taken_over_profiles_total"
    eventually("a profile is taken over", lambda: user.sum(taken) + maker.sum(taken) >= 1)
    ended = family.run("shared", "check", "--json", "--config", user.file)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # Only the check asks for streams without a target.
    assert set(re.findall(r'Violation - Subject "([^"]+)"', nats.text())) <= {"$JS.API.STREAM.LIST"}
