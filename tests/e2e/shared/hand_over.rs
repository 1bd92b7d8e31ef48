use std::{thread, time::Duration};

use super::{
    GAUGES, LENGTH, RECOVERY, RELAYS, arrived, numbered, open, relay_only, send, series, stop,
    wait, wait_for_each, wait_until, wait_until_connected, wait_until_done, wait_until_shared,
};
use crate::support::{Count, Relay, Rig, SOON, Upstream, eventually, nats::Nats, ports::Refusing};

#[test]
fn what_waits_longer_than_after_waits_in_the_stream_and_returns_to_the_same_relay() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = relay_only(&nats, "after: 1s")
        .target_address("central", &port.url(), &[])
        .spawn();
    send(&relay, &numbered(40));
    let ledger = wait_until_shared(&relay, 40);
    assert_eq!(ledger.accepted, Count::new(40, 40 * LENGTH));
    assert_eq!(ledger.lost(), Count::default());
    assert!(ledger.shared() >= 12, "{ledger:?}");
    eventually(GAUGES, "the gauge of the stream", || {
        let waiting = series(&relay, "waiting_profiles");
        waiting >= 12.0 && waiting == nats.stored() as f64
    });
    assert!(series(&relay, "published_total") >= 12.0);
    assert!(series(&relay, "bytes") > 12.0 * LENGTH as f64);
    assert_eq!(series(&relay, "max_bytes"), f64::from(64 << 20));
    assert_eq!(series(&relay, "usable"), 1.0);
    wait_until(&relay, RELAYS, 1.0);

    let target = open(&port);
    wait_for_each(&target, &numbered(40), RECOVERY);
    let ledger = wait_until_done(&relay, &nats);
    assert_eq!(ledger.sent, Count::new(40, 40 * LENGTH));
    assert_eq!(ledger.taken_over, ledger.handed_over);
    assert_eq!(ledger.lost(), Count::default());
}

#[test]
fn profiles_of_a_healthy_target_never_go_to_the_stream() {
    let (nats, target) = (Nats::start(), Upstream::ok());
    let relay = relay_only(&nats, "after: 1s")
        .target("central", &target, &[])
        .spawn();
    wait_until_connected(&relay);
    for _ in 0..15 {
        send(&relay, &["app".to_owned()]);
        thread::sleep(Duration::from_millis(100));
    }
    let ledger = relay.wait_ledger("central", "all sent", |it| it.sent.profiles == 15);
    assert_eq!((ledger.handed_over, ledger.taken_over), Default::default());
    assert_eq!((series(&relay, "published_total"), nats.stored()), (0.0, 0));
}

#[test]
fn a_queue_that_fills_up_hands_over_its_oldest_before_their_time() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = relay_only(&nats, "after: 1h")
        .target_address("central", &port.url(), &["queue-size: 20"])
        .spawn();
    wait_until_connected(&relay);
    let names = numbered(100);
    for name in &names {
        send(&relay, std::slice::from_ref(name));
        thread::sleep(Duration::from_millis(10));
    }
    let ledger = relay.ledger("central");
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    assert!(ledger.shared() >= 80, "{ledger:?}");
    assert!(ledger.shared() < 100, "what fits waits here: {ledger:?}");
    let target = open(&port);
    wait_for_each(&target, &names, RECOVERY);
    wait_until_done(&relay, &nats);
}

#[test]
fn fresh_profiles_do_not_wait_behind_the_backlog() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relay = relay_only(&nats, "after: 1s")
        .target_address("central", &port.url(), &["replay-rate: 20KB"])
        .spawn();
    // Half a minute of backlog at its rate.
    let old = numbered(100);
    send(&relay, &old);
    wait_until_shared(&relay, 100);
    let target = open(&port);
    eventually(RECOVERY, "the first of the backlog", || {
        !arrived(&target).is_empty()
    });
    let fresh: Vec<_> = (0..5).map(|number| format!("fresh{number}")).collect();
    for name in &fresh {
        send(&relay, std::slice::from_ref(name));
        eventually(SOON, "the fresh one", || arrived(&target).contains(name));
    }
    let ledger = relay.ledger("central");
    assert!(
        ledger.shared() > 0,
        "the backlog was still there: {ledger:?}"
    );
}

#[test]
fn a_relay_that_stops_leaves_what_waits_and_its_successor_delivers_it() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let builder = relay_only(&nats, "after: 1h").target_address("central", &port.url(), &[]);
    let first = builder.clone().spawn();
    wait_until_connected(&first);
    send(&first, &numbered(30));
    stop(first);
    assert_eq!(nats.stored(), 30);
    let target = open(&port);
    let second = builder.spawn();
    wait_for_each(&target, &numbered(30), RECOVERY);
    let ledger = wait_until_done(&second, &nats);
    assert_eq!(ledger.accepted, Count::default());
    assert_eq!(ledger.sent.profiles, 30);
}

#[test]
fn a_relay_without_a_shared_backlog_has_none_of_its_series() {
    let rig = Rig::new();
    let metrics = rig.relay.metrics();
    for stem in ["shared", "taken_over", "handed_over"] {
        let series = format!("pyroscope_remote_write_{stem}_");
        assert!(!metrics.text().contains(&series), "{series}");
    }
}

#[test]
fn with_a_local_pyroscope_its_responses_do_not_change() {
    let (nats, port, local) = (Nats::start(), Refusing::new(), Upstream::ok());
    let relay = Relay::builder()
        .yaml(&super::block(&nats, "after: 1s"))
        .upstream(&local)
        .target_address("central", &port.url(), &[])
        .spawn();
    send(&relay, &numbered(30));
    assert_eq!(arrived(&local), numbered(30));
    wait_until_shared(&relay, 30);
    let target = open(&port);
    wait_for_each(&target, &numbered(30), RECOVERY);
    wait(&relay, SOON, "all sent", |it| it.sent.profiles == 30);
    assert_eq!(arrived(&local), numbered(30));
}
