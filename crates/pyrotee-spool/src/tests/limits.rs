//! Limits of disk and memory.

use std::path::Path;
use std::time::Duration;

use pyrotee_queue::{LeaseFilter, Reason};

use super::sim::Sim;
use super::support::{ROOMY, body, name, open, open_with, settings, try_open};
use crate::storage::Space;
use crate::{Fsync, Settings};

#[tokio::test]
async fn the_oldest_segment_goes_and_every_target_is_told() {
    let sim = Sim::new();
    let small = Settings {
        max_bytes: 64 << 10,
        ..settings(Path::new(""))
    };
    let spool = open(&sim, small.clone(), &["dead", "alive", "slow"]);
    let slow = {
        assert!(spool.keep("0-1000").await);
        spool.lease(2).await
    };
    for number in 1..=200 {
        assert!(spool.keep(&format!("{number}-1000")).await);
        spool.lease(1).await.ack();
        assert!(sim.bytes() <= small.max_bytes, "{}", sim.bytes());
        assert_eq!(sim.bytes(), spool.monitor.stats().bytes);
    }
    for target in [0, 2] {
        let lost = spool.lost(target, Reason::SpoolFull);
        assert!((130..=160).contains(&lost), "{lost}");
    }
    assert_eq!(
        spool.lost(1, Reason::SpoolFull),
        0,
        "it had settled in time"
    );
    assert!(spool.monitor.stats().evicted_segments >= 8);
    // What is in flight stays deliverable, but has no place to go back to.
    assert_eq!(name(&slow), "0-1000");
    let before = spool.lost(2, Reason::SpoolFull);
    drop(slow);
    assert_eq!(spool.lost(2, Reason::SpoolFull), before + 1);
    let pending = spool.pending().await;
    assert_eq!(pending[0].last().unwrap(), "200-1000");
    spool.close();
    // The next process knows of the loss: it is not counted again.
    let spool = open(&sim, small, &["dead", "alive", "slow"]);
    assert_eq!(spool.pending().await, pending);
    assert_eq!(spool.lost(0, Reason::Corrupt), 0);
}

#[tokio::test]
async fn the_index_has_a_limit_of_its_own() {
    let sim = Sim::new();
    let small = Settings {
        index_bytes: 64 << 10,
        ..settings(Path::new(""))
    };
    let spool = open(&sim, small.clone(), &["a", "b"]);
    for number in 0..1_000 {
        assert!(spool.keep(&format!("{number}-10")).await);
        let index = spool.monitor.stats().index_bytes;
        assert!(index <= small.index_bytes + 1_000, "{index}");
    }
    let lost = spool.lost(0, Reason::SpoolFull);
    assert!((800..1_000).contains(&lost), "{lost}");
}

#[tokio::test]
async fn a_record_that_can_never_fit_is_refused() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a"]);
    assert_eq!(spool.offer("600000-600000").queued, 0);
    assert_eq!(spool.lost(0, Reason::SpoolFull), 1);
    // One that is larger than a segment gets its own.
    for number in 0..8 {
        assert!(spool.keep(&format!("{number}-400000")).await);
        assert!(sim.bytes() <= 1 << 20);
    }
    let (delivered, _) = spool.drain().await;
    assert_eq!(delivered[0], ["6-400000", "7-400000"]);
}

#[tokio::test]
async fn a_sidecar_of_16_mib_keeps_a_backlog_and_gives_all_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        max_bytes: 16 << 20,
        save_every: 64,
        ..Settings::new(dir.path())
    };
    let open = |targets, budget: &_| settings.open(targets, budget);
    let spool = open_with(&["a", "b", "c"], ROOMY, open).unwrap();
    let mut total = 0;
    for number in 0..250 {
        let name = format!("{number}-50000");
        total += body(&name).len() as u64;
        assert!(spool.keep(&name).await);
    }
    let stats = spool.monitor.stats();
    assert_eq!((stats.written_body_bytes, stats.unwritten), (total, 0));
    assert_eq!(spool.budget.recorded(), 0, "bodies have left memory");
    let monitor = spool.monitor.clone();
    let (delivered, _) = spool.drain().await;
    assert!(delivered.iter().all(|names| names.len() == 250));
    let stats = monitor.stats();
    let ratio = stats.written_bytes as f64 / total as f64;
    println!("written {} for {total}: {ratio:.4}", stats.written_bytes);
    assert!(ratio < 1.1, "{ratio}");
    let left: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(left < 4_096, "{left} bytes of lock and cursors");
}

#[tokio::test]
async fn an_idle_spool_that_was_drained_keeps_one_segment_at_most() {
    let sim = Sim::new();
    let often = Settings {
        save_every: 1,
        ..settings(Path::new(""))
    };
    let spool = open(&sim, often, &["a"]);
    spool.fill(100).await;
    for _ in 0..100 {
        spool.lease(0).await.ack();
    }
    // A new record is written after whatever the writer had to do before.
    assert!(spool.keep("x-10").await);
    assert!(sim.segments().len() <= 2, "{:?}", sim.segments());
}

#[tokio::test]
async fn below_the_reserve_the_spool_does_not_grow() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a"]);
    spool.fill(40).await;
    sim.set_space(Space {
        free: 10_000,
        total: 1 << 20,
    });
    let before = sim.segments().len();
    for number in 0..100 {
        assert!(spool.keep(&format!("{number}-1000")).await);
        assert!(sim.segments().len() <= before);
    }
    assert!(spool.lost(0, Reason::SpoolFull) > 60);
    assert_eq!(spool.monitor.stats().free_bytes, 10_000);
}

#[tokio::test]
async fn a_spent_budget_delays_the_backlog_and_loses_nothing() {
    let sim = Sim::new();
    let spool = try_open(&sim, settings(Path::new("")), &["a"], ROOMY).unwrap();
    let names = spool.fill(3).await;
    let all = spool
        .budget
        .reserve(spool.budget.most_held() - 500)
        .unwrap();
    // On disk, and no room to read it.
    let none = tokio::time::timeout(
        Duration::from_millis(30),
        spool.consumers[0].lease(&LeaseFilter::ANY),
    );
    assert!(none.await.is_err());
    drop(all);
    for name_offered in names {
        let lease = spool.lease(0).await;
        assert_eq!(name(&lease), name_offered);
        assert!(spool.budget.recorded() >= 1_000);
        lease.ack();
    }
    assert_eq!(spool.budget.recorded(), 0);
}

#[tokio::test]
async fn what_is_in_memory_comes_while_the_backlog_waits_for_the_budget() {
    let sim = Sim::new();
    let unhurried = Settings {
        fsync: Fsync::Always,
        retry_after: Duration::from_secs(3_600),
        ..settings(Path::new(""))
    };
    let spool = open(&sim, unhurried, &["a"]);
    spool.fill(3).await;
    sim.fail(Some(super::sim::Trouble::Full));
    assert!(!spool.keep("fresh-100").await);
    let _all = spool
        .budget
        .reserve(spool.budget.most_held() - 600)
        .unwrap();
    spool.consumers[0].fall_behind();
    let lease = spool.lease(0).await;
    assert_eq!(name(&lease), "fresh-100");
}

#[tokio::test]
async fn a_record_is_read_once_for_all_who_lease_it() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a", "b", "c"]);
    assert!(spool.keep("x-5000").await);
    let leases = [
        spool.lease(0).await,
        spool.lease(1).await,
        spool.lease(2).await,
    ];
    assert!(spool.budget.recorded() < 7_000);
    let read = spool.monitor.stats().read_bytes;
    assert!((5_000..5_200).contains(&read), "{read}");
    for lease in leases {
        lease.ack();
    }
}
