//! The queue of a target: its limits, its order and its workers.

use crate::{
    delivery::send_named,
    load::{self, Sink},
    support::{Count, Relay, Upstream, client::noise},
};

/// A relay to `sink`, with a local upstream. The caller must keep the upstream alive.
fn towards(sink: &Sink, options: &[&str]) -> (Relay, Upstream) {
    let upstream = Upstream::ok();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &sink.url(), options)
        .spawn();
    (relay, upstream)
}

#[test]
fn a_full_queue_drops_the_newest_or_the_oldest_as_told() {
    // The first profile is at the target, the second is queued, and then the queue is full.
    for (policy, names) in [("drop-newest", ["a", "b"]), ("drop-oldest", ["a", "d"])] {
        let sink = Sink::gated();
        let on_full = format!("on-full: {policy}");
        let (relay, _upstream) = towards(&sink, &["queue-workers: 1", "queue-size: 2", &on_full]);
        send_named(&relay, ["a".to_owned()]);
        sink.wait_for(1);
        send_named(&relay, ["b", "c", "d"].map(str::to_owned));
        let ledger = relay.ledger("central");
        assert_eq!(ledger.accepted, Count::new(4, 28), "{policy}");
        assert_eq!(ledger.pending, Count::new(2, 14), "{policy}");
        assert_eq!(ledger.dropped("queue_full"), Count::new(2, 14), "{policy}");
        sink.open();
        let ledger = relay.wait_ledger("central", "two sent", |ledger| ledger.sent.profiles == 2);
        assert_eq!(ledger.lost(), Count::new(2, 14), "{policy}");
        assert_eq!(sink.names(), names, "{policy}");
    }
}

#[test]
fn a_queue_is_full_by_bytes_as_well() {
    let sink = Sink::gated();
    let (relay, _upstream) = towards(&sink, &["queue-workers: 1", "queue-bytes: 100KiB"]);
    let body = noise(40_000);
    let failed = load::push(relay.addr(), 1, 5, |_| load::upload("app", &body));
    assert_eq!(failed, Vec::<String>::new());
    let ledger = relay.ledger("central");
    assert_eq!(ledger.pending, Count::new(2, 80_000), "{ledger:?}");
    assert_eq!(ledger.dropped("queue_full"), Count::new(3, 120_000));
    sink.open();
    relay.wait_ledger("central", "two sent", |ledger| ledger.sent.profiles == 2);
}

#[test]
fn one_worker_keeps_the_order() {
    let sink = Sink::gated();
    let (relay, _upstream) = towards(&sink, &["queue-workers: 1"]);
    let names: Vec<_> = (0..50).map(|index| format!("app{index}")).collect();
    send_named(&relay, names.clone());
    sink.wait_for(1);
    sink.open();
    relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 50);
    assert_eq!(sink.names(), names);
    assert_eq!(sink.peak(), 1);
}

#[test]
fn workers_bound_the_uploads_at_once() {
    let sink = Sink::gated();
    let (relay, _upstream) = towards(&sink, &["queue-workers: 3"]);
    send_named(&relay, (0..20).map(|index| format!("app{index}")));
    sink.wait_for(3);
    let metrics = relay.metrics();
    let in_flight = "pyroscope_remote_write_inflight_requests";
    assert_eq!(
        metrics.value(in_flight, &[("target", "central")]),
        Some(3.0)
    );
    assert_eq!(metrics.ledger("central").pending.profiles, 20);
    sink.open();
    relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == 20);
    assert_eq!(sink.peak(), 3);
}
