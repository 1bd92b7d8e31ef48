use serde_json::Value;

use super::{
    CONNECTED, RECOVERY, numbered, open, relay_only, send, stop, wait_for_each, wait_until,
    wait_until_connected, wait_until_done,
};
use crate::support::{Count, SOON, eventually, nats::Nats, ports::Refusing};

#[test]
fn a_server_before_2_10_gets_no_streams_and_the_relay_says_why() {
    let (nats, port) = (Nats::old(), Refusing::new());
    let relay = relay_only(&nats, "after: 1s")
        .target_address("central", &port.url(), &[])
        .spawn();
    send(&relay, &numbered(5));
    for words in ["2.9.", "2.10", "bind"] {
        eventually(2 * SOON, &format!("{words} in the log"), || {
            relay.output().contains(words)
        });
    }
    let status = relay.status()["shared"].to_string();
    assert!(status.contains("2.10"), "{status}");
    assert_eq!(nats.streams(), Vec::<String>::new());
    let ledger = relay.ledger("central");
    assert_eq!((ledger.pending.profiles, ledger.shared()), (5, 0));
    let target = open(&port);
    wait_for_each(&target, &numbered(5), RECOVERY);
}

#[test]
fn a_server_before_2_10_works_with_streams_that_its_administrator_has_made() {
    let (old, new, port) = (Nats::old(), Nats::start(), Refusing::new());
    let builder = |nats: &Nats, policy: &str| {
        relay_only(nats, &format!("after: 1s, policy: {policy}")).target_address(
            "central",
            &port.url(),
            &[],
        )
    };
    // What a relay makes on a present-day server, an administrator makes here.
    let maker = builder(&new, "manage").spawn();
    eventually(3 * SOON, "a stream with its consumers", || {
        let streams = new.streams();
        !streams.is_empty() && !new.consumers(&streams[0]).is_empty()
    });
    copy(&new, &old);
    drop(maker);

    let relay = builder(&old, "bind").spawn();
    wait_until_connected(&relay);
    eventually(SOON, "a warning of the version", || {
        let log = relay.output();
        log.lines()
            .any(|line| line.contains("WARN") && line.contains("2.9."))
    });
    send(&relay, &numbered(10));
    stop(relay);
    assert_eq!(old.stored(), 10);
    let relay = builder(&old, "bind").spawn();
    let target = open(&port);
    wait_for_each(&target, &numbered(10), RECOVERY);
    let ledger = wait_until_done(&relay, &old);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    wait_until(&relay, CONNECTED, 1.0);
}

/// Makes the streams and consumers of one server on another.
fn copy(from: &Nats, to: &Nats) {
    for name in from.streams() {
        let made = to.api(
            &format!("STREAM.CREATE.{name}"),
            &from.stream(&name)["config"],
        );
        assert!(made["error"].is_null(), "{made}");
        for consumer in from.consumers(&name) {
            let durable = consumer["durable_name"]
                .as_str()
                .expect("a durable one")
                .to_owned();
            let body = serde_json::json!({ "stream_name": name, "config": consumer });
            let made = to.api(&format!("CONSUMER.DURABLE.CREATE.{name}.{durable}"), &body);
            assert_eq!(made["error"], Value::Null, "{made}");
        }
    }
}
