//! The program is scraped by the real binary, whose upstream and target store what it sends.

use std::time::Duration;

use super::{
    App, SIZE,
    oracle::{self, Sums, allocated, total},
};
use crate::support::{Builder, Pulled, Relay, Upstream, eventually, ports::Refusing};

/// Time for some scrapes, which are two seconds apart.
const SCRAPES: Duration = Duration::from_secs(30);

fn relay(app: &App, upstream: &Upstream, target: &Upstream) -> Builder {
    let address = app.address;
    Relay::builder()
        .upstream(upstream)
        .target("central", target, &["tags: { cluster: c1 }"])
        .yaml(&format!(
            "\
scrape-configs:
  - job-name: go
    scrape-interval: 2s
    enabled-profiles: [cpu, mem, goroutines, mutex, block]
    profiles:
      cpu: {{ params: {{ seconds: [\"1\"] }} }}
      mem: {{ params: {{ gc: [\"1\"] }} }}
    static-configs: [{{ application: interop.scrape, targets: [\"{address}\"], labels: {{ env: test }} }}]
"
        ))
}

/// The profiles with values of this type, in the order of their times.
fn of_type(stand_in: &Upstream, kind: &str) -> Vec<Pulled> {
    let mut all = Pulled::all(&stand_in.requests());
    all.retain(|pulled| pulled.types.iter().any(|it| it == kind));
    all.sort_by_key(|pulled| pulled.from);
    all
}

fn sums(stand_in: &Upstream, kind: &str) -> Vec<Sums> {
    let all = of_type(stand_in, kind).into_iter();
    all.map(|pulled| oracle::sums(&pulled.profile)).collect()
}

/// The bytes that `App::allocate` has allocated by all profiles that arrived.
fn allocated_bytes(stand_in: &Upstream) -> i64 {
    let sums = sums(stand_in, "alloc_space");
    sums.iter().map(|it| allocated(it, "alloc_space")).sum()
}

/// Waits for `more` profiles with values of this type than there are.
fn wait_for_more(stand_in: &Upstream, kind: &str, more: usize) {
    let wanted = of_type(stand_in, kind).len() + more;
    let what = format!("{wanted} profiles with {kind}");
    eventually(SCRAPES, &what, || of_type(stand_in, kind).len() >= wanted);
}

/// Stops the relay, which delivers what it has, and compares what arrived at both ends.
fn stop(mut relay: Relay, upstream: &Upstream, target: &Upstream) {
    relay.ledger("central");
    relay.sigterm();
    let end = relay.wait(Duration::from_secs(30));
    assert!(end.is_some_and(|status| status.success()), "{end:?}");
    let mut local = Pulled::all(&upstream.requests());
    let mut remote = Pulled::all(&target.requests());
    for pulled in &mut local {
        pulled
            .key
            .tags
            .insert("cluster".to_owned(), "c1".to_owned());
    }
    for profiles in [&mut local, &mut remote] {
        profiles.sort_by_key(|it| (it.from, it.types.clone(), it.profile.clone()));
    }
    assert_eq!(remote.len(), local.len());
    assert!(
        remote == local,
        "the target has each profile once, with its tag"
    );
    local.dedup();
    assert_eq!(local.len(), remote.len(), "no profile is there twice");
}

#[test]
fn each_profile_of_a_program_arrives_once_with_tags_and_exact_values() {
    let (app, upstream, target) = (App::start(), Upstream::ok(), Upstream::ok());
    let running = relay(&app, &upstream, &target).spawn();
    app.get("/contend?count=1&millis=1");
    // The first profile of the memory is the baseline. From the first delta on, allocations count.
    wait_for_more(&upstream, "alloc_space", 1);
    app.allocate(100);
    wait_for_more(&upstream, "alloc_space", 3);
    assert_eq!(allocated_bytes(&upstream), 100 * SIZE);
    app.get("/contend?count=10&millis=20");
    for kind in ["samples", "goroutine"] {
        wait_for_more(&upstream, kind, 1);
    }
    eventually(SCRAPES, "ten contentions", || {
        let sums = sums(&upstream, "contentions");
        sums.iter().map(|it| total(it, "contentions")).sum::<i64>() >= 20
    });
    let burnt = sums(&upstream, "samples");
    let burnt = burnt.iter().flatten();
    assert!(
        burnt
            .into_iter()
            .any(|(stack, _)| stack.contains("main.burn "))
    );

    let address = app.address.to_string();
    for pulled in Pulled::all(&upstream.requests()) {
        assert_eq!(pulled.key.app, "interop.scrape");
        let tags = [("env", "test"), ("job", "go"), ("instance", &address)];
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pulled.key.tags, tags.into());
    }
    for kind in ["alloc_space", "samples", "goroutine"] {
        for pair in of_type(&upstream, kind).windows(2) {
            let apart = Duration::from_nanos(pair[1].from - pair[0].from);
            assert!(apart > Duration::from_secs(1), "{kind}: {apart:?} apart");
        }
    }
    stop(running, &upstream, &target);

    // Another relay begins with a baseline of its own: nothing is sent twice.
    let running = relay(&app, &upstream, &target).spawn();
    wait_for_more(&upstream, "alloc_space", 1);
    app.allocate(10);
    wait_for_more(&upstream, "alloc_space", 3);
    assert_eq!(allocated_bytes(&upstream), 110 * SIZE);
    stop(running, &upstream, &target);
}

#[test]
fn a_restarted_program_yields_no_spike_and_then_exact_values() {
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let port = Refusing::new();
    let app = App::start_at(&port.address().to_string());
    app.allocate(1_000);
    let running = relay(&app, &upstream, &target).spawn();
    wait_for_more(&upstream, "alloc_space", 1);
    drop(app);
    let app = App::start_at(&port.address().to_string());
    eventually(SCRAPES, "a reset", || {
        let labels = [("scrape_job", "go"), ("reason", "reset")];
        let resets = "pyroscope_relay_scrape_skipped_total";
        running.metrics().value(resets, &labels) >= Some(1.0)
    });
    wait_for_more(&upstream, "alloc_space", 2);
    app.allocate(7);
    wait_for_more(&upstream, "alloc_space", 3);
    assert_eq!(allocated_bytes(&upstream), 7 * SIZE);
    stop(running, &upstream, &target);
}
