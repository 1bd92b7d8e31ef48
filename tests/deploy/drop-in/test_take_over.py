"""The Service of a Pyroscope is taken over and given back while clients go on sending."""

from collections import Counter

from clients import Client
from loopback.processes import eventually

CLIENTS = 6


def names(sink):
    return Counter(profile["app"] for profile in sink.profiles())


def test_no_client_notices_and_no_profile_is_lost(family, service):
    pyroscope, central = family.sink("pyroscope"), family.sink("central")
    service.lead_to(pyroscope.address)
    # Loyal clients keep their connection throughout; restless ones open a new connection now and then.
    loyal = [Client(f"loyal{number}", service.address) for number in range(CLIENTS)]
    restless = [Client(f"restless{number}", service.address, 10) for number in range(CLIENTS)]
    late = [Client(f"late{number}", service.address) for number in range(CLIENTS)]
    for client in loyal + restless:
        client.start()
    eventually("profiles before", lambda: len(pyroscope.profiles()) > 200)
    assert not central.profiles()

    # Take over.
    relay = family.relay(
        "relay",
        {
            "upstream": {"address": f"http://{pyroscope.address}"},
            "shutdown": {"grace": "10s"},
            "remote-write": {
                "enabled": True,
                "targets": {"central": {"address": f"http://{central.address}", "queue-size": 10_000}},
            },
        },
    )
    idle = relay.sum("pyroscope_relay_connections", side="client")
    service.lead_to(relay.address)
    for client in late:
        client.start()
    eventually("profiles at the target", lambda: len(central.profiles()) > 500)
    teed = {name.split(".")[0] for name in names(central)}
    assert teed == {client.label for client in restless + late}, "connections that stand stay"

    # Give back, and end the relay although some clients are still connected to it.
    service.lead_to(pyroscope.address)
    moved = [len(client.sent) for client in late]
    eventually(
        "the restless to go",
        lambda: relay.sum("pyroscope_relay_connections", side="client") == idle + CLIENTS,
    )
    assert relay.stop() == 0
    eventually(
        "the late ones to go on",
        lambda: all(len(c.sent) > before + 50 for c, before in zip(late, moved)),
    )

    everyone = loyal + restless + late
    for client in everyone:
        client.end()
    assert [error for client in everyone for error in client.errors] == []
    sent = Counter(name for client in everyone for name in client.sent)
    eventually("all profiles at Pyroscope", lambda: sum(names(pyroscope).values()) >= len(sent))
    assert names(pyroscope) == sent
    teed = names(central)
    assert not [name for name, copies in teed.items() if copies > 1]
    stale = sum(client.stale for client in everyone)
    print(f"{len(sent)} profiles, {len(teed)} of them teed, {stale} sent again on a fresh connection")
