use super::{
    RECOVERY, SOON_GONE, arrived, block, is_handed_over, named, numbered, open, relay_only, send,
    send_sized, series, wait, wait_for_each, wait_until_connected, wait_until_done,
    wait_until_shared,
};
use crate::support::{
    Builder, Count, Relay, SOON, Upstream, eventually,
    nats::{Login, Nats},
    ports::Refusing,
};

/// Body of a profile, in bytes. A stream of 2 MiB takes twenty of them.
const LARGE: usize = 100_000;

/// A relay whose stream is full after about twenty large profiles.
fn small_stream(nats: &Nats, port: &Refusing, local: &Upstream, on_full: &str) -> Builder {
    let on_full = format!("on-full: {on_full}");
    let options = [
        "queue-size: 20",
        "shared-max-bytes: 2MiB",
        "replay-rate: 0",
        &on_full,
    ];
    // The upstream answers clients whatever becomes of their profiles.
    Relay::builder()
        .yaml(&block(nats, "after: 1s"))
        .upstream(local)
        .target_address("central", &port.url(), &options)
}

/// Sends large profiles in groups that fit into memory, each once the group before is handed over or the stream is full.
fn fill(relay: &Relay, names: &[String]) {
    for group in names.chunks(10) {
        send_sized(relay, group, LARGE);
        eventually(SOON, "the stream takes it or is full", || {
            series(relay, "full_total") > 0.0 || is_handed_over(relay, &relay.ledger("central"))
        });
    }
}

#[test]
fn a_full_stream_keeps_the_oldest_and_memory_takes_the_rest_up_to_its_limit() {
    let (nats, port, local) = (Nats::start(), Refusing::new(), Upstream::ok());
    let relay = small_stream(&nats, &port, &local, "drop-newest").spawn();
    wait_until_connected(&relay);
    let names = numbered(60);
    fill(&relay, &names);
    let ledger = relay.wait_ledger("central", "a drop", |it| it.lost().profiles > 0);
    assert_eq!(ledger.lost(), ledger.dropped("queue_full"), "{ledger:?}");
    let kept = ledger.shared() + ledger.pending.profiles.cast_signed();
    assert!((35..=42).contains(&kept), "{ledger:?}");
    assert!(
        relay.output().contains("the shared backlog is full"),
        "it is told"
    );
    let target = open(&port);
    let count = 60 - usize::try_from(ledger.lost().profiles).unwrap();
    wait_for_each(&target, &names[..count], RECOVERY);
    let ledger = wait_until_done(&relay, &nats);
    assert_eq!(ledger.sent, Count::new(count as u64, count * LARGE));
}

#[test]
fn a_full_stream_makes_room_for_the_newest_if_told_so() {
    let (nats, port, local) = (Nats::start(), Refusing::new(), Upstream::ok());
    let relay = small_stream(&nats, &port, &local, "drop-oldest").spawn();
    wait_until_connected(&relay);
    let names = numbered(36);
    for group in names.chunks(12) {
        send_sized(&relay, group, LARGE);
        wait(&relay, SOON_GONE, "the stream takes them", |it| {
            is_handed_over(&relay, it)
        });
    }
    let target = open(&port);
    eventually(RECOVERY, "the newest", || {
        let arrived = arrived(&target);
        names[30..].iter().all(|name| arrived.contains(name))
    });
    let ledger = wait_until_done(&relay, &nats);
    let lost = usize::try_from(ledger.lost().profiles).unwrap();
    assert!((1..=20).contains(&lost), "{ledger:?}");
    assert_eq!(ledger.lost(), ledger.dropped("queue_full"), "{ledger:?}");
    let mut arrived = arrived(&target);
    assert_eq!(arrived.len(), 36 - lost);
    arrived.dedup();
    assert_eq!(arrived.len(), 36 - lost, "each once");
}

#[test]
fn a_body_larger_than_the_server_takes_stays_in_memory_and_is_told() {
    let nats = Nats::with("max_payload: 65536", Login::Nobody);
    let port = Refusing::new();
    let relay = relay_only(&nats, "after: 1s")
        .target_address("central", &port.url(), &[])
        .spawn();
    wait_until_connected(&relay);
    send(&relay, &numbered(10));
    wait_until_shared(&relay, 10);
    // A probe may try one of them.
    send_sized(&relay, &named("large", 3), LARGE);
    eventually(SOON, "a large one is counted", || {
        series(&relay, "oversized_total") >= 1.0
    });
    let ledger = relay.ledger("central");
    assert!(ledger.pending.bytes >= LARGE as u64, "{ledger:?}");
    assert_eq!(series(&relay, "full_total"), 0.0);
    assert!(relay.output().contains("max_payload"), "{}", relay.output());
    let target = open(&port);
    let mut names = numbered(10);
    names.extend(named("large", 3));
    wait_for_each(&target, &names, RECOVERY);
    wait_until_done(&relay, &nats);
}

#[test]
fn one_target_that_is_down_leaves_the_streams_of_the_others_alone() {
    let (nats, ports) = (Nats::start(), [Refusing::new(), Refusing::new()]);
    let options = ["queue-size: 20", "shared-max-bytes: 2MiB"];
    let relay = Relay::builder()
        .yaml(&block(&nats, "after: 1s"))
        .remote_write("disable-local-writes: true")
        .target_address("full", &ports[0].url(), &options)
        .target_address("central", &ports[1].url(), &[])
        .spawn();
    wait_until_connected(&relay);
    for group in numbered(45).chunks(15) {
        send_sized(&relay, group, LARGE);
        wait(&relay, SOON_GONE, "nothing waits for central", |it| {
            is_handed_over(&relay, it)
        });
    }
    let full = relay.ledger("full");
    assert!(full.lost().profiles > 0, "{full:?}");
    let central = wait_until_shared(&relay, 45);
    assert_eq!(central.lost(), Count::default(), "{central:?}");
    let target = open(&ports[1]);
    wait_for_each(&target, &numbered(45), RECOVERY);
    assert_eq!(arrived(&target).len(), 45);
}
