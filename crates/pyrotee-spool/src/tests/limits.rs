//! Limits of disk and memory.

use std::path::Path;
use std::time::Duration;

use pyrotee_queue::{LeaseFilter, Limits, Reason, WhenFull};
use pyrotee_segments::Space;

use super::sim::{Sim, Trouble};
use super::support::{
    ROOMY, body, eventually, name, open, open_on_disk, open_with, settings, try_open,
};
use crate::{Fsync, Mode, Settings};

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
    // A record in flight can still be delivered, but is dropped when it is released.
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
    // A record that is larger than a segment gets a segment of its own.
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
    let open = |targets: &_, budget: &_| open_on_disk(settings, targets, budget);
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
    assert!(spool.keep("x-10").await);
    // A segment is removed once the cursors are synced, on a thread of their own.
    eventually("two segments are left", || sim.segments().len() <= 2).await;
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
    // The records are on disk, and the budget has no room to read them.
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
    sim.fail(Some(Trouble::Full));
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

#[test]
fn the_reserve_of_free_space_has_a_cap_and_spares_small_disks() {
    const MIB: u64 = 1 << 20;
    let settings = |max_bytes| Settings {
        max_bytes,
        segment_bytes: 8 * MIB,
        ..settings(Path::new(""))
    };
    let terabytes = 4 << 40;
    assert_eq!(settings(1 << 30).reserve(terabytes), 256 * MIB);
    assert_eq!(settings(16 * MIB).reserve(terabytes), 8 * MIB);
    assert_eq!(settings(1 << 30).reserve(400 * MIB), 20 * MIB);
    assert_eq!(settings(16 * MIB).reserve(20 * MIB), MIB);
}

#[tokio::test]
async fn quarantine_has_a_limit_and_keeps_the_newest() {
    let sim = Sim::new();
    let small = Settings {
        max_bytes: 64 << 10,
        ..settings(Path::new(""))
    };
    let aside = || {
        let mut names = sim.names();
        names.retain(|name| name.ends_with(".corrupt"));
        names
    };
    // Files of an earlier version, which had no limit.
    for number in 0..9 {
        let name = format!("0000000000000000000{number}.corrupt");
        sim.tamper(&name, |bytes| bytes.resize(9_000, 7));
    }
    let mut last = String::new();
    for round in 0..8 {
        let spool = open(&sim, small.clone(), &["a"]);
        for number in 0..13 {
            assert!(spool.keep(&format!("{number}-1000")).await);
        }
        eventually("a small quarantine", || {
            spool.monitor.stats().quarantined_bytes <= 16 << 10
        })
        .await;
        spool.close();
        last = sim.segments().pop().unwrap();
        sim.tamper(&last, |bytes| bytes[900] ^= 1);
        let spool = open(&sim, small.clone(), &["a"]);
        spool.consumers[0].purge();
        eventually("an empty spool", || sim.segments().is_empty()).await;
        let stats = spool.monitor.stats();
        assert_eq!(stats.quarantined, aside().len() as u64, "{round}");
        assert!((1..=16 << 10).contains(&stats.quarantined_bytes), "{round}");
        spool.close();
    }
    assert_eq!(aside(), [last.replace(".log", ".corrupt")]);
}

#[tokio::test]
async fn unwritten_records_have_the_limit_of_bytes_only_while_the_disk_works() {
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let sim = Sim::new();
        let limits = Limits {
            records: 3,
            bytes: 50_000,
            when_full,
        };
        // The writer sleeps while the test offers records.
        let slow = Settings {
            min_sleep: Duration::from_secs(2),
            fsync: Fsync::Never,
            ..settings(Path::new(""))
        };
        let spool = try_open(&sim, slow, &["a"], limits).unwrap();
        eventually("the first sleep", || sim.changes() > 0).await;
        sim.fail(Some(Trouble::Full));
        for number in 0..20 {
            assert_eq!(spool.offer(&format!("{number}-1000")).queued, 1);
        }
        assert_eq!(
            spool.offer("60000-60000").queued,
            0,
            "more than the limit of bytes"
        );
        eventually("trouble", || spool.monitor.mode() == Mode::MemoryOnly).await;
        assert_eq!(spool.counts(0).pending.profiles, 20, "nothing is dropped");
        for number in 20..25 {
            _ = spool.offer(&format!("{number}-1000"));
        }
        assert_eq!(spool.counts(0).pending.profiles, 20);
        assert_eq!(spool.lost(0, Reason::QueueFull), 6);
        let oldest = spool.lease(0).await;
        let kept = matches!(when_full, WhenFull::DropNewest);
        assert_eq!(name(&oldest) == "0-1000", kept, "{}", name(&oldest));
    }
}

#[tokio::test]
async fn false_heads_in_a_body_are_passed_over_in_linear_time() {
    let sim = Sim::new();
    let large = Settings {
        max_bytes: 64 << 20,
        segment_bytes: 8 << 20,
        ..settings(Path::new(""))
    };
    let spool = open(&sim, large.clone(), &["a"]);
    assert!(spool.keep("0-1000000").await);
    assert!(spool.keep("1-1000").await);
    spool.close();
    let segment = sim.segments().remove(0);
    sim.tamper(&segment, |bytes| {
        // A damaged head, and a body with the start of a false head of 700,000 or 5,000 bytes every 8 bytes.
        bytes[150] ^= 1;
        for (index, chunk) in bytes[300..999_900].chunks_exact_mut(8).enumerate() {
            let len: u32 = if index % 2 == 0 { 700_000 } else { 5_000 };
            chunk[..4].copy_from_slice(b"\xf0PyR");
            chunk[4..].copy_from_slice(&len.to_le_bytes());
        }
    });
    let before = sim.read();
    let spool = open(&sim, large, &["a"]);
    let read = sim.read() - before;
    assert!(read < 600 << 20, "{read} bytes for 125,000 false heads");
    assert_eq!(spool.pending().await, [["1-1000"]]);
    assert_eq!(spool.lost(0, Reason::Corrupt), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_or_cut_does_not_stop_the_spool() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a"]);
    spool.fill(40).await;
    let first = sim.segments().remove(0);
    sim.stick(&first);
    for _ in 0..40 {
        spool.lease(0).await.ack();
    }
    assert!(spool.keep("40-1000").await);
    eventually("attempts", || spool.monitor.stats().troubles > 2).await;
    assert_eq!(spool.monitor.mode(), Mode::Disk);
    assert!(sim.segments().contains(&first));
    // A write that fails leaves an end that cannot be cut.
    let active = sim.segments().pop().unwrap();
    sim.stick(&active);
    let changes = sim.changes();
    sim.fail(Some(Trouble::Between(changes, changes + 2)));
    spool.keep("41-1000").await;
    eventually("the disk again", || spool.monitor.mode() == Mode::Disk).await;
    assert!(spool.keep("42-1000").await);
    sim.heal();
    spool.close();
    let spool = open(&sim, settings(Path::new("")), &["a"]);
    assert_eq!(spool.pending().await, [["40-1000", "41-1000", "42-1000"]]);
    assert_eq!(spool.lost(0, Reason::Corrupt), 0);
    eventually("the file is gone", || !sim.names().contains(&first)).await;
}
