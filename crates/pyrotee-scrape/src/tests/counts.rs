//! Every scrape is counted once, by what has become of it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use metrics::set_default_local_recorder;
use pyrotee_scrape_config::Limits;

use super::support::{Heap, Reply, Series, World, cpu, cpu_target, job, response, target};
use crate::metrics::{FAILURES, SCRAPES, SCRAPES_FAILED, SKIPPED, STATE_BYTES, TARGETS};

fn counts(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    let counts = of
        .iter()
        .map(|(reason, count)| ((*reason).to_owned(), *count));
    counts.collect()
}

#[tokio::test(start_paused = true)]
async fn each_end_of_a_scrape_has_its_reason() {
    let series = Series::default();
    let _recording = set_default_local_recorder(&series);
    let heaps = [
        Heap::of(&[(1, 5, 0)]),
        Heap::of(&[(1, 5, 0)]),
        Heap::of(&[(1, 8, 0)]),
        Heap::of(&[(1, 2, 9)]),
        Heap::of(&[(1, 1, 0)]),
    ];
    let heaps = Mutex::new(heaps.into_iter());
    let bad = Heap {
        stacks: vec![(1, 1, 1)],
        ..Heap::default()
    };
    // The sample has a third value.
    let mut bad = bad.plain();
    bad.extend([0x12, 2, 0x10, 1]);
    let redirect = "HTTP/1.1 302 F\r\nLocation: http://b/\r\nContent-Length: 0\r\n\r\n";
    let world = World::new(move |head| match head.host.as_str() {
        "heap:1" => Reply::Now(response(&heaps.lock().unwrap().next().unwrap().gzip())),
        "slow:1" => Reply::After(Duration::from_secs(25), response(&cpu())),
        "cpu:1" => Reply::After(Duration::from_secs(10), response(&cpu())),
        "hang:1" => Reply::Hang,
        "closed:1" => Reply::Now(b"SSH-2.0\r\n\r\n".to_vec()),
        "elsewhere:1" => Reply::Now(redirect.as_bytes().to_vec()),
        "html:1" => Reply::Now(response(b"<html>")),
        "long:1" => Reply::Now(response(&vec![0; 3_000])),
        _ => Reply::Now(response(&bad)),
    });
    let mut targets = vec![
        target("heap:1", "mem"),
        target("bad:1", "mem"),
        cpu_target("cpu:1"),
    ];
    for host in [
        "slow:1",
        "hang:1",
        "closed:1",
        "elsewhere:1",
        "html:1",
        "long:1",
    ] {
        let mut target = target(host, "goroutines");
        target.timeout = Duration::from_secs(if host == "slow:1" { 30 } else { 9 });
        targets.push(target);
    }
    world.discover("shop", targets);
    let limits = Limits {
        max_body: 2_000,
        max_targets: 9,
        ..Limits::default()
    };
    world.apply(vec![job("shop")], limits);
    world.rounds(5).await;
    // Requests that wait are cut, and not counted as failed.
    world.scraper.stop().await;
    let skipped: BTreeMap<_, _> = series.counts(SKIPPED).into_iter().collect();
    let of = |reason: &str| skipped.get(&format!("shop {reason}")).copied();
    assert_eq!(
        (of("first"), of("empty"), of("reset")),
        (Some(1), Some(1), Some(2))
    );
    assert!(of("overrun").is_some_and(|it| it >= 1), "{skipped:?}");
    let failures: BTreeMap<_, _> = series.counts(FAILURES).into_iter().collect();
    for reason in [
        "connect",
        "timeout",
        "status",
        "not_pprof",
        "too_large",
        "delta",
    ] {
        let count = failures.get(&format!("shop {reason}"));
        assert!(
            count.is_some_and(|it| (4..=5).contains(it)),
            "{reason}: {failures:?}"
        );
    }
    assert_eq!(failures.len(), 6);
    let failed: u64 = failures.values().sum();
    assert_eq!(series.counts(SCRAPES_FAILED), counts(&[("shop", failed)]));
    let skips: u64 = ["first", "empty"].map(|it| of(it).unwrap()).iter().sum();
    // The last reset sent nothing; three requests may have been cut.
    let ended = failed + skips + 1 + world.relay.sent().len() as u64;
    let (_, scrapes) = series.counts(SCRAPES)[0];
    assert!((ended..=ended + 3).contains(&scrapes), "{scrapes} {ended}");
}

#[tokio::test(start_paused = true)]
async fn loops_that_run_and_are_refused_and_their_memory_are_shown() {
    let series = Series::default();
    let _recording = set_default_local_recorder(&series);
    let world = World::new(|_| Reply::Now(response(&Heap::of(&[(1, 1, 1)]).gzip())));
    let targets = (0..5).map(|n| target(&format!("host{n}:1"), "mem"));
    world.discover("shop", targets.collect());
    let limits = Limits {
        max_targets: 3,
        ..Limits::default()
    };
    let targets = format!("{TARGETS} shop");
    world.apply(vec![job("shop")], limits.clone());
    world.rounds(4).await;
    assert_eq!(series.gauge(&targets), 3.0);
    assert!(series.gauge(STATE_BYTES) > 3.0 * 24.0);
    let refused = series
        .counts(SKIPPED)
        .into_iter()
        .find(|(of, _)| of == "shop limit");
    assert!(
        (8..=10).contains(&refused.unwrap().1),
        "two in each interval"
    );
    // It starts anew, while the old pool ends.
    let mut changed = job("shop");
    changed.max_body = Some(1 << 20);
    world.apply(vec![changed], limits.clone());
    world.rounds(1).await;
    assert_eq!(series.gauge(&targets), 3.0);
    world.apply(Vec::new(), limits);
    world.rounds(1).await;
    assert_eq!(series.gauge(&targets), 0.0);
    assert_eq!(series.gauge(STATE_BYTES), 0.0);
}
