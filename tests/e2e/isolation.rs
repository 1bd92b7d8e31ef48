//! A target in trouble affects neither the other targets nor the client.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    load::{self, Sink},
    support::{Answer, Count, Relay, Upstream, client::noise, poll, ports::Refusing},
};

const PROFILES: usize = 2_000;
const LENGTH: usize = 50_000;
const TARGETS: [&str; 5] = ["hanging", "deaf", "refusing", "resetting", "healthy"];

#[test]
fn four_targets_in_trouble_cost_the_fifth_and_the_client_nothing() {
    let local = Sink::ok();
    let hanging = Upstream::answering(Answer::never());
    let deaf = Upstream::answering(Answer::deaf());
    let refusing = Refusing::new();
    let resetting = Upstream::answering(Answer::raw(b"").unread().reset());
    let healthy = Sink::ok();
    let short = ["timeout: 500ms", "queue-workers: 4"];
    let relay = Relay::builder()
        .yaml("memory-limit: 512MiB")
        .upstream_address(&local.url())
        .target("hanging", &hanging, &short)
        .target("deaf", &deaf, &short)
        .target_address("refusing", &refusing.url(), &short)
        .target("resetting", &resetting, &["timeout: 500ms"])
        .target_address(
            "healthy",
            &healthy.url(),
            &["queue-size: 2500", "queue-bytes: 256MiB"],
        )
        .spawn();

    let base = noise(LENGTH);
    let done = AtomicBool::new(false);
    let failed = thread::scope(|scope| {
        let scraper = scope.spawn(|| scrape(&relay, &done));
        let failed = load::push(relay.addr(), 4, PROFILES, |index| {
            load::upload("load", &load::stamped(&base, index))
        });
        done.store(true, Ordering::SeqCst);
        let scrapes = scraper.join().unwrap();
        assert!(scrapes > 1, "{scrapes} scrapes while the load was on");
        failed
    });
    assert_eq!(failed, Vec::<String>::new());

    let all = Count::new(PROFILES as u64, PROFILES * LENGTH);
    let ledger = relay.wait_ledger("healthy", "all sent", |ledger| ledger.sent == all);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    let expected: HashMap<u64, usize> = (0..PROFILES)
        .map(|index| (load::fingerprint(&load::stamped(&base, index)), 1))
        .collect();
    assert!(healthy.bodies() == expected, "each body exactly once");
    assert!(local.bodies() == expected, "each body exactly once");
    for target in TARGETS {
        let ledger = relay.ledger(target);
        assert_eq!(ledger.accepted, all, "{target}");
        if target != "healthy" {
            assert_eq!(ledger.sent, Count::default(), "{target}");
            assert!(ledger.lost().profiles > 0, "{target}: {ledger:?}");
        }
    }
}

/// Scrapes until `done`. Every account must balance in every scrape, and no account may decrease.
fn scrape(relay: &Relay, done: &AtomicBool) -> usize {
    let mut before = HashMap::new();
    let mut scrapes = 0;
    let ended = poll(Duration::from_secs(120), || {
        let metrics = relay.metrics();
        for target in TARGETS {
            let ledger = metrics.ledger(target);
            assert!(ledger.balances(), "{target}: {ledger:?}");
            let now = [ledger.accepted, ledger.sent, ledger.lost()].map(|count| count.bytes);
            let last = before.insert(target, now).unwrap_or_default();
            assert!(
                last.iter().zip(now).all(|(last, now)| *last <= now),
                "{target} went backwards: {last:?} {now:?}"
            );
        }
        scrapes += 1;
        done.load(Ordering::SeqCst).then_some(())
    });
    assert!(ended.is_some(), "the load did not end");
    scrapes
}
