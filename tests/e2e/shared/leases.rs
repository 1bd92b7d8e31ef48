use std::time::Duration;

use rustix::process::Signal;

use super::{
    RECOVERY, numbered, open, relay_only, send, series, stop, wait_for_each, wait_until_connected,
    wait_until_done,
};
use crate::support::{
    Answer, Builder, Count, Relay, SOON, Upstream, eventually, nats::Nats, nightly, ports::Refusing,
};

/// After so long the server gives leases of a target with `timeout: 15s` to another relay.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// Twenty profiles in the stream, and a relay that is sending some of them to a target that hangs.
struct Leased {
    nats: Nats,
    port: Refusing,
    builder: Builder,
    relay: Relay,
    hung: Upstream,
}

impl Leased {
    fn new() -> Self {
        let (nats, port) = (Nats::start(), Refusing::new());
        let options = ["timeout: 15s", "replay-rate: 0"];
        let builder = relay_only(&nats, "after: 1s")
            .yaml("shutdown: { grace: 2s }")
            .target_address("central", &port.url(), &options);
        let first = builder.clone().spawn();
        wait_until_connected(&first);
        send(&first, &numbered(20));
        stop(first);
        assert_eq!(nats.stored(), 20);
        let hung = Upstream::at(&port.address().to_string(), |_| Answer::never());
        let relay = builder.clone().spawn();
        hung.wait_for(1, 3 * SOON);
        eventually(SOON, "a lease", || series(&relay, "leased") >= 1.0);
        Self {
            nats,
            port,
            builder,
            relay,
            hung,
        }
    }
}

#[test]
fn what_a_killed_relay_was_sending_is_delivered_by_another() {
    let Leased {
        nats,
        port,
        builder,
        mut relay,
        hung,
    } = Leased::new();
    relay.signal(Signal::KILL);
    assert!(relay.wait(SOON).is_some());
    drop(hung.stop());
    let target = open(&port);
    let other = builder.spawn();
    // Records without a lease come at once, the others when their leases end; that takes half a minute.
    if !nightly() {
        wait_until_connected(&other);
        return;
    }
    wait_for_each(&target, &numbered(20), ACK_WAIT + RECOVERY);
    let ledger = wait_until_done(&other, &nats);
    assert_eq!(ledger.sent.profiles, 20);
    assert!(series(&other, "redelivered_total") >= 1.0);
}

#[test]
fn a_relay_that_stops_gives_back_what_it_could_not_send() {
    let Leased {
        nats,
        port,
        builder,
        relay,
        hung,
    } = Leased::new();
    stop(relay);
    assert_eq!(nats.stored(), 20);
    drop(hung.stop());
    let target = open(&port);
    let other = builder.spawn();
    // No lease has to end first: all were given back.
    wait_for_each(&target, &numbered(20), ACK_WAIT - Duration::from_secs(5));
    let ledger = wait_until_done(&other, &nats);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
}
