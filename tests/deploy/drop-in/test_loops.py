"""Addresses that lead back through a Service that was taken over."""

from loopback.processes import ROOT, eventually


def target(address):
    return {"enabled": True, "targets": {"central": {"address": f"http://{address}"}}}


def test_a_target_that_leads_back_ends_after_four_rounds_and_is_counted(family, service):
    pyroscope = family.sink("pyroscope")
    relay = family.relay(
        "relay",
        {
            "upstream": {"address": f"http://{pyroscope.address}"},
            "remote-write": target(service.address),
        },
    )
    service.lead_to(relay.address)
    for _ in range(3):
        assert family.run("send", "--to", f"http://{service.address}").returncode == 0
    eventually("the end of all rounds", lambda: relay.sum("pyroscope_relay_tee_total", result="loop") == 3)
    eventually(
        "nothing pending", lambda: relay.sum("pyroscope_remote_write_pending_profiles") == 0
    )
    assert relay.sum("pyroscope_remote_write_sent_profiles_total", target="central") == 3 * 4
    assert len(pyroscope.profiles()) == 3 * 5
    assert relay.sum("pyroscope_remote_write_dropped_profiles_total") == 0


def test_an_upstream_that_leads_back_is_answered_508_after_16_proxies(family, service):
    central = family.sink("central")
    config = {
        "upstream": {"address": f"http://{service.address}"},
        "remote-write": target(central.address),
    }
    relay = family.relay("relay", config)
    idle = relay.sum("pyroscope_relay_connections", side="client")
    service.lead_to(relay.address)
    sent = family.run("send", "--to", f"http://{service.address}")
    assert sent.returncode != 0 and sent.stdout.startswith("508"), sent
    eventually(
        "the end of all rounds",
        lambda: relay.sum("pyroscope_relay_requests_total", code="508") == 17,
    )
    assert relay.sum("pyroscope_relay_upstream_errors_total") == 0
    # Each round sends another copy, as the guide warns.
    eventually("the copies", lambda: 1 < len(central.profiles()) <= 17)
    assert relay.sum("pyroscope_relay_connections", side="client") <= idle + 17


def test_what_can_be_seen_at_start_is_refused_in_the_words_of_the_guide(family, tmp_path):
    file = tmp_path / "pyrotee.yaml"
    file.write_text('listen: ":4040"\nupstream: { address: "http://127.0.0.1:4040" }\n')
    check = family.run("check", "--config", file)
    assert check.returncode == 2
    fault = check.stderr.splitlines()[0].replace(str(file), "pyrotee.yaml")
    assert fault in (ROOT / "deploy/drop-in/README.md").read_text()
