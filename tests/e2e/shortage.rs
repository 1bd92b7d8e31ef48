//! A shortage of memory: profiles wait where waiting is possible, and a few idle uploads cannot cause a shortage.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::{
    push::packed,
    support::{
        Answer, Builder, Client, Count, Relay, Request, SOON, Upstream, client::noise, eventually,
        message::one_series, poll,
    },
};

/// Longer than the time in which an upload must advance.
const SLOW: Duration = Duration::from_secs(45);

/// A Push that packs to half its length.
fn half_noise(length: usize, name: &str) -> Request {
    let mut profile = noise(length / 2);
    profile.resize(length, 0);
    packed(&one_series(&[("service_name", name)], &profile))
}

fn builder(spool: bool, limit: usize) -> Builder {
    let builder = Relay::builder().yaml(&format!("memory-limit: {limit}MiB"));
    match spool {
        true => builder.yaml("spool: { dir: \"{home}/spool\" }"),
        false => builder,
    }
}

#[test]
fn a_push_that_needs_most_of_the_workspace_is_delivered() {
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let relay = builder(false, 24)
        .upstream(&upstream)
        .target("central", &target, &["tags: { env: x }"])
        .spawn();
    assert_eq!(relay.send(&half_noise(6_200_000, "large")).status(), 200);
    relay.wait_ledger("central", "the large one", |ledger| {
        ledger.sent.profiles == 1
    });
    let larger = half_noise(6_400_000, "larger");
    assert_eq!(relay.send(&larger).status(), 200);
    let ledger = relay.wait_ledger("central", "a drop", |it| it.lost().profiles == 1);
    assert_eq!(ledger.dropped("too_large").profiles, 1);
}

#[test]
fn memory_full_of_packed_pushes_is_emptied_once_the_target_takes_them() {
    for spool in [false, true] {
        let is_up = Arc::new(AtomicBool::new(false));
        let up = Arc::clone(&is_up);
        let target = Upstream::script(move |_| match up.load(SeqCst) {
            true => Answer::ok(),
            false => Answer::status(503, b"not yet"),
        });
        let upstream = Upstream::ok();
        // Two of these Pushes fill the workspaces, packed and unpacked.
        let options = ["tags: { env: x }", "queue-bytes: 16MiB", "replay-rate: 0"];
        let relay = builder(spool, 16)
            .upstream(&upstream)
            .target("central", &target, &options)
            .spawn();
        let push = half_noise(3_500_000, "many");
        let offered = 6;
        for _ in 0..offered {
            assert_eq!(relay.send(&push).status(), 200);
        }
        // A rewritten body that is kept for a retry may take the memory of one profile.
        let (least, dropped) = (5, relay.ledger("central").dropped("budget").profiles);
        is_up.store(true, SeqCst);
        let ledger = poll(2 * SLOW, || {
            let ledger = relay.ledger("central");
            (ledger.sent.profiles + dropped == offered).then_some(ledger)
        });
        let ledger = ledger.unwrap_or_else(|| relay.ledger("central"));
        let sent = ledger.sent.profiles;
        assert_eq!(sent + dropped, offered, "spool: {spool}: {ledger:?}");
        assert!(sent >= least, "spool: {spool}: {ledger:?}");
        let used = || relay.metrics().sum("pyroscope_relay_memory_bytes", &[]);
        eventually(SOON, "all memory is given back", || used() == 0.0);
    }
}

#[test]
fn a_target_that_hangs_costs_another_no_packed_push() {
    for spool in [false, true] {
        for hung_tags in [&["timeout: 5m"][..], &["timeout: 5m", "tags: { env: y }"]] {
            let hung = Upstream::answering(Answer::never());
            let (upstream, healthy) = (Upstream::ok(), Upstream::ok());
            let relay = builder(spool, 24)
                .upstream(&upstream)
                .target("hung", &hung, hung_tags)
                .target("healthy", &healthy, &["tags: { env: x }"])
                .spawn();
            for number in 1..=8 {
                let push = half_noise(4_700_000, "large");
                assert_eq!(relay.send(&push).status(), 200);
                relay.wait_ledger("healthy", "one more", |it| it.sent.profiles == number);
            }
            let ledger = relay.ledger("healthy");
            assert_eq!(ledger.lost(), Count::default(), "{spool}: {ledger:?}");
        }
    }
}

/// Begins the upload of a profile of `length` bytes, and sends all but the last `missing` bytes.
fn begin(relay: &Relay, length: usize, missing: usize) -> Client {
    let mut client = Client::connect(relay.addr());
    let request = Request::profile("stalled", &noise(length));
    let bytes = request.bytes();
    client.send(&bytes[..bytes.len() - missing]);
    client
}

#[test]
fn uploads_that_stall_keep_no_memory_from_those_that_do_not() {
    for (count, length) in [(3, 1_300_000), (60, 64_000)] {
        let (upstream, target) = (Upstream::ok(), Upstream::ok());
        let relay = builder(false, 8)
            .upstream(&upstream)
            .target("central", &target, &[])
            .spawn();
        let stalled: Vec<_> = (0..count).map(|_| begin(&relay, length, 10)).collect();
        let receiving = || {
            let metrics = relay.metrics();
            metrics.sum("pyroscope_relay_memory_bytes", &[("pool", "inflight")])
        };
        eventually(SOON, "half of the memory is held", || receiving() > 3.5e6);
        // An upload counts as slow only after a second.
        let started = Instant::now();
        eventually(SOON, "a second has passed", || {
            started.elapsed() > Duration::from_millis(1_200)
        });
        let honest = Request::profile("honest", &noise(400_000));
        for number in 1..=10 {
            assert_eq!(relay.send(&honest).status(), 200);
            relay.wait_ledger("central", "the honest one", |it| it.sent.profiles == number);
        }
        let ledger = relay.ledger("central");
        assert_eq!(ledger.dropped("budget").profiles, 0, "{ledger:?}");
        drop(stalled);
    }
}

#[test]
fn an_upload_that_stalls_is_relayed_to_its_end_and_not_recorded() {
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let relay = builder(false, 8)
        .upstream(&upstream)
        .target("central", &target, &[])
        .spawn();
    let mut client = begin(&relay, 100_000, 10);
    let ledger = poll(SLOW, || {
        let ledger = relay.ledger("central");
        (ledger.dropped("upload_failed").profiles == 1).then_some(ledger)
    });
    let ledger = ledger.expect("a stalled recording is lost");
    assert_eq!(ledger.dropped("upload_failed").bytes, 99_990);
    assert_eq!(
        relay.metrics().sum("pyroscope_relay_memory_bytes", &[]),
        0.0
    );
    client.send(&noise(100_000)[99_990..]);
    assert_eq!(client.receive().status(), 200);
    assert_eq!(upstream.only().body.data, noise(100_000));
    let ledger = relay.ledger("central");
    assert_eq!((ledger.accepted.profiles, ledger.lost().profiles), (1, 1));
    let told = relay.logs();
    let told = told
        .iter()
        // The line about the drop, which may come by then, has a remedy with the first two words.
        .filter(|line| line.to_string().contains("too slowly to record"));
    assert_eq!(told.count(), 1);
}
