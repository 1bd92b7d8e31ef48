//! What is scraped arrives once, locally and at a target.

use super::app::{App, Heap, cpu, heap};
use super::{job, sent, wait_for, with_target};
use crate::support::{Pulled, Relay, SOON, Upstream, eventually, key::Key};

const HEAP: &str = "/debug/pprof/heap";

/// `alloc_space` of all functions and profiles, and `inuse_space` of the last profile.
fn totals(sent: &[Pulled]) -> (u64, u64) {
    let alloc = |heap: Heap| heap.values().map(|(alloc, _)| alloc).sum::<u64>();
    let inuse = |heap: Heap| heap.values().map(|(_, inuse)| inuse).sum::<u64>();
    let allocated = sent.iter().map(|it| alloc(heap(it))).sum();
    (allocated, sent.last().map_or(0, |it| inuse(heap(it))))
}

#[test]
fn a_cpu_profile_arrives_as_it_is_locally_and_with_tags_at_a_target() {
    let (app, local, target) = (App::new(&[]), Upstream::ok(), Upstream::ok());
    let builder = with_target(Relay::builder().upstream(&local), &target);
    let relay = builder.yaml(&job(&app, "cpu")).spawn();
    let at_target = wait_for(&target, "samples", 2);
    let locally = wait_for(&local, "samples", 2);
    let instance = app.address();
    let tags = [
        ("instance", instance.as_str()),
        ("job", "shop"),
        ("zone", "a"),
    ];
    for (sent, name) in [
        (&locally, Key::new("shop.cart", &tags)),
        (
            &at_target,
            Key::new("shop.cart", &[&tags[..], &[("env", "prod")]].concat()),
        ),
    ] {
        for profile in sent {
            assert_eq!(profile.profile, cpu());
            assert_eq!(profile.key, name);
            assert_eq!(profile.until - profile.from, 1_000_000_000);
        }
    }
    let metrics = relay.metrics();
    let pulled = [("source", "pulled"), ("format", "multipart")];
    assert!(metrics.sum("pyroscope_relay_ingested_total", &pulled) >= 2.0);
    let pushed = [("source", "pushed")];
    assert_eq!(metrics.sum("pyroscope_relay_ingested_total", &pushed), 0.0);
    // The relay sends by itself: no proxy is in between.
    let requests = local.requests();
    assert!(requests.iter().all(|it| !it.head.has("x-forwarded-for")));
    assert!(relay.ledger("central").accepted.profiles >= 2);
}

#[test]
fn what_an_application_allocates_arrives_once_and_not_again_after_a_restart() {
    let app = App::new(&[(1, (1_000, 10)), (2, (500, 20))]);
    let (local, target) = (Upstream::ok(), Upstream::ok());
    let builder = with_target(Relay::builder().upstream(&local), &target).yaml(&job(&app, "mem"));
    let mut relay = builder.clone().spawn();
    eventually(SOON, "the baseline", || app.asked(HEAP) >= 1);
    app.set(&[(1, (1_700, 11)), (2, (500, 20)), (3, (40, 4))]);
    for to in [&local, &target] {
        let sent = wait_for(to, "alloc_space", 2);
        assert_eq!(totals(&sent), (740, 35));
        assert!(!sent[0].config.to_string().contains("cumulative"));
    }
    relay.sigterm();
    assert!(relay.wait(SOON).expect("it ends").success());

    let before = (sent(&local, "alloc_space").len(), app.asked(HEAP));
    let relay = builder.spawn();
    eventually(SOON, "the baseline", || app.asked(HEAP) > before.1);
    wait_for(&local, "alloc_space", before.0 + 1);
    assert_eq!(totals(&sent(&local, "alloc_space")), (740, 35));
    assert!(relay.ledger("central").accepted.profiles >= 1);
}
