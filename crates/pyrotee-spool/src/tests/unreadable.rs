//! Segments that the disk does not return, at the start and while the process runs. No such segment counts as damaged.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_queue::{Counts, LeaseFilter, Reason};
use pyrotee_segments::CURSOR_SLOTS;
use pyrotee_segments::inspect::Directory;

use super::damage::{NAMES, RECORDS, left_behind};
use super::sim::{Sim, Trouble};
use super::support::{ROOMY, TestSpool, eventually, name, open, settings, try_open};
use crate::{Mode, Settings};

fn quick() -> Settings {
    settings(Path::new(""))
}

/// Waits until everything can be read.
async fn healed(spool: &TestSpool) {
    eventually("everything can be read", || {
        spool.monitor.mode() == Mode::Disk
    })
    .await;
}

/// The names of the records that each target gets, in the order of the numbers in the names.
async fn delivered(spool: TestSpool) -> Vec<Vec<String>> {
    let (mut delivered, counts) = spool.drain().await;
    assert!(counts.iter().all(Counts::balance), "{counts:?}");
    for names in &mut delivered {
        names.sort_by_key(|name| name.split('-').next().unwrap().parse::<u64>().unwrap());
    }
    delivered
}

fn dropped(spool: &TestSpool) -> u64 {
    let reasons = Reason::ALL.into_iter();
    reasons
        .map(|reason| spool.lost(0, reason) + spool.lost(1, reason))
        .sum()
}

/// A spool of a process that was killed, with cursors that are behind by the last segment.
async fn killed() -> (Arc<Sim>, Vec<String>) {
    let sim = Sim::new();
    let spool = open(&sim, quick(), &NAMES);
    let names = spool.fill(RECORDS).await;
    let left = sim.after_kill();
    spool.close();
    (left, names)
}

#[tokio::test]
async fn segments_that_cannot_be_read_at_the_start_are_read_later() {
    for (clean, left) in [(true, left_behind().await), (false, killed().await)] {
        for spoiled in [&[0][..], &[1], &[2], &[0, 2], &[0, 1, 2]] {
            let case = format!("clean: {clean}, segments {spoiled:?}");
            let (sim, names) = (left.0.after_kill(), &left.1);
            let segments = sim.segments();
            for segment in spoiled {
                sim.spoil(&segments[*segment]);
            }
            let spool = open(&sim, quick(), &NAMES);
            assert_eq!(spool.monitor.mode(), Mode::ReadErrors, "{case}");
            let unreadable = spool.monitor.stats().unreadable_segments;
            assert_eq!(unreadable, spoiled.len() as u64, "{case}");
            eventually("another attempt", || spool.monitor.stats().troubles > 0).await;
            assert_eq!(sim.segments(), segments, "{case}");
            sim.heal();
            healed(&spool).await;
            assert_eq!(dropped(&spool), 0, "{case}");
            assert_eq!(delivered(spool).await, [&names[..], names], "{case}");
            assert!(sim.segments().is_empty(), "{case}");
            assert!(
                !sim.names().iter().any(|it| it.ends_with(".corrupt")),
                "{case}"
            );
        }
    }
}

#[tokio::test]
async fn trouble_that_outlives_processes_costs_nothing_and_no_number_is_used_twice() {
    for (clean, left) in [(true, left_behind().await), (false, killed().await)] {
        for spoiled in 0..3 {
            let case = format!("clean: {clean}, segment {spoiled}");
            let (mut sim, mut names) = (left.0.after_kill(), left.1.clone());
            for life in 0..3 {
                let segment = &sim.segments()[spoiled];
                sim.spoil(segment);
                let spool = open(&sim, quick(), &NAMES);
                for number in 0..3 {
                    let name = format!("{}-1000", 100 + 10 * life + number);
                    assert!(spool.keep(&name).await, "{case}");
                    names.push(name);
                }
                assert_eq!(dropped(&spool), 0, "{case}");
                if life == 1 {
                    spool.close();
                    sim = sim.after_power_loss();
                } else {
                    sim = sim.after_kill();
                    spool.close();
                }
            }
            let spool = open(&sim, quick(), &NAMES);
            assert_eq!(dropped(&spool), 0, "{case}");
            assert_eq!(delivered(spool).await, [&names[..], &names], "{case}");
        }
    }
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_for_a_while_loses_nothing() {
    let (sim, names) = left_behind().await;
    let spool = open(&sim, quick(), &NAMES);
    for segment in sim.segments() {
        sim.spoil(&segment);
    }
    let lease = spool.consumers[0].lease(&LeaseFilter::ANY);
    let waited = tokio::time::timeout(Duration::from_millis(100), lease).await;
    assert!(waited.is_err(), "nothing can be read");
    assert_eq!(spool.monitor.mode(), Mode::ReadErrors);
    let troubles = spool.monitor.stats().troubles;
    assert!((1..200).contains(&troubles), "{troubles}");
    sim.heal();
    assert_eq!(dropped(&spool), 0);
    let delivered = delivered(spool).await;
    assert_eq!(delivered, [&names[..], &names]);
    assert!(sim.segments().is_empty());
}

#[tokio::test]
async fn one_segment_in_trouble_does_not_hold_back_the_others() {
    let (sim, names) = left_behind().await;
    let spool = open(&sim, quick(), &["a"]);
    sim.spoil(&sim.segments()[0]);
    let mut got = Vec::new();
    for _ in 0..RECORDS - 15 {
        let lease = spool.lease(0).await;
        got.push(name(&lease));
        lease.ack();
    }
    assert_eq!(got, names[15..], "those of the other segments");
    assert_eq!(spool.monitor.mode(), Mode::ReadErrors);
    sim.heal();
    assert_eq!(delivered(spool).await, [&names[..15]]);
}

#[tokio::test]
async fn a_bad_sector_holds_back_one_record() {
    let (sim, names) = left_behind().await;
    let spool = open(&sim, quick(), &["a"]);
    sim.spoil_bytes(&sim.segments()[0], 3_000..3_010);
    let mut got = Vec::new();
    for _ in 0..RECORDS - 1 {
        let lease = spool.lease(0).await;
        got.push(name(&lease));
        lease.ack();
    }
    assert!(!got.contains(&names[2]), "{got:?}");
    assert_eq!(spool.counts(0).pending.profiles, 1);
    assert_eq!(spool.monitor.mode(), Mode::ReadErrors);
    sim.heal();
    assert_eq!(delivered(spool).await, [&names[2..3]]);
}

#[tokio::test]
async fn a_full_spool_first_loses_what_cannot_be_read() {
    let (left, names) = left_behind().await;
    let small = || Settings {
        max_bytes: 64 << 10,
        ..quick()
    };
    for at_start in [true, false] {
        let sim = left.after_kill();
        let spoiled = sim.segments()[1].clone();
        if at_start {
            sim.spoil(&spoiled);
        }
        let spool = open(&sim, small(), &["a", "gone"]);
        if !at_start {
            sim.spoil(&spoiled);
            for _ in 0..RECORDS - 15 {
                drop(spool.lease(0).await);
            }
            let mut leases = Vec::new();
            for _ in 0..RECORDS - 15 {
                leases.push(spool.lease(0).await);
            }
        }
        let mut number = 100;
        while spool.lost(0, Reason::DiskError) == 0 {
            assert!(spool.keep(&format!("{number}-1000")).await);
            number += 1;
        }
        assert!(!sim.segments().contains(&spoiled));
        assert_eq!(spool.lost(0, Reason::DiskError), 15, "{at_start}");
        assert_eq!(spool.lost(0, Reason::SpoolFull), 0, "{at_start}");
        let pending = spool.counts(0).pending.profiles;
        assert_eq!(pending, RECORDS as u64 - 15 + number - 100);
        healed(&spool).await;
        let got = delivered(spool).await.swap_remove(0);
        assert_eq!(got[..25], [&names[..15], &names[30..]].concat());
        // The next process does not count the loss again.
        let spool = open(&sim, small(), &["a", "gone"]);
        assert_eq!(dropped(&spool), 0);
    }
}

#[tokio::test]
async fn what_cannot_be_read_expires_by_the_time_of_its_file() {
    let (sim, _) = left_behind().await;
    let now = SystemTime::now();
    let second = Duration::from_secs(1);
    sim.set_modified(now);
    sim.spoil(&sim.segments()[1]);
    let spool = open(&sim, quick(), &NAMES);
    spool.consumers[0].expire(now - second);
    // The other records were received in 2023.
    assert_eq!(spool.lost(0, Reason::Expired), 25);
    spool.consumers[0].expire(now + second);
    assert_eq!(spool.lost(0, Reason::Expired), 40);
    assert_eq!(spool.lost(1, Reason::Expired), 0);
    assert_eq!(
        spool.monitor.mode(),
        Mode::ReadErrors,
        "the other target wants it"
    );
    spool.consumers[1].expire(now + second);
    assert_eq!(spool.lost(1, Reason::Expired), 40);
    eventually("all is gone", || sim.segments().is_empty()).await;
    healed(&spool).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_purged_and_a_missing_file_is_loss() {
    let (left, names) = left_behind().await;
    let sim = left.after_kill();
    sim.spoil(&sim.segments()[1]);
    let spool = open(&sim, quick(), &NAMES);
    assert_eq!(spool.consumers[0].purge().profiles, 40);
    assert_eq!(spool.lost(0, Reason::Admin), 40);
    sim.heal();
    healed(&spool).await;
    assert_eq!(delivered(spool).await, [vec![], names.clone()]);

    let sim = left.after_kill();
    let missing = sim.segments()[1].clone();
    sim.spoil(&missing);
    let spool = open(&sim, quick(), &NAMES);
    sim.take_away(&missing);
    sim.heal();
    healed(&spool).await;
    assert_eq!(
        [0, 1].map(|target| spool.lost(target, Reason::Corrupt)),
        [15, 15]
    );
    let rest = [&names[..15], &names[30..]].concat();
    assert_eq!(delivered(spool).await, [rest.clone(), rest]);
}

#[tokio::test]
async fn a_removed_target_has_what_could_not_be_read_when_it_comes_back() {
    let (sim, names) = left_behind().await;
    for segment in sim.segments() {
        sim.spoil(&segment);
    }
    let spool = open(&sim, quick(), &["b", "new"]);
    assert_eq!(spool.monitor.stats().removed_targets, 1);
    sim.heal();
    healed(&spool).await;
    let pending = spool.pending().await;
    assert_eq!(
        pending,
        [names.clone(), vec![]],
        "nothing old for a new target"
    );
    spool.close();
    let spool = open(&sim, quick(), &["a"]);
    assert_eq!(spool.pending().await, [names]);
}

#[tokio::test]
async fn a_removed_target_expires_with_what_cannot_be_read() {
    let (sim, _) = left_behind().await;
    sim.spoil(&sim.segments()[1]);
    let impatient = Settings {
        keep_removed_for: Duration::ZERO,
        ..quick()
    };
    let spool = open(&sim, impatient, &["new"]);
    eventually("all is gone", || sim.segments().is_empty()).await;
    assert_eq!(spool.lost_of_removed(), 80);
}

#[tokio::test]
async fn damage_that_shows_late_is_counted_late() {
    let (sim, _) = left_behind().await;
    let segment = sim.segments()[1].clone();
    sim.tamper(&segment, |bytes| bytes[4_096..8_192].fill(0));
    sim.spoil(&segment);
    let spool = open(&sim, quick(), &NAMES);
    assert_eq!(dropped(&spool), 0);
    sim.heal();
    healed(&spool).await;
    let (got, counts) = spool.drain().await;
    let corrupt = counts[0].dropped(Reason::Corrupt).profiles;
    assert_eq!(
        (got[0].len() as u64 + corrupt, corrupt),
        (RECORDS as u64, 5)
    );
    assert!(sim.names().iter().any(|name| name.ends_with(".corrupt")));
}

#[tokio::test]
async fn without_readable_cursors_nothing_starts_and_nothing_changes() {
    let (sim, names) = left_behind().await;
    let before = sim.names();
    for slot in CURSOR_SLOTS {
        sim.spoil(slot);
        let refused = try_open(&sim, settings(Path::new("/spool")), &NAMES, ROOMY);
        let refused = refused.err().unwrap();
        assert!(refused.to_string().contains(slot), "{refused}");
        assert_eq!(sim.names(), before);
        sim.heal();
    }
    let spool = open(&sim, quick(), &NAMES);
    assert_eq!(delivered(spool).await, [&names[..], &names]);
}

#[tokio::test]
async fn verify_tells_what_it_could_not_read() {
    let (sim, _) = left_behind().await;
    let directory = Directory::of(Arc::clone(&sim) as _);
    let verify = || directory.verify(|_| {}).unwrap();
    assert!(verify().is_whole());
    sim.spoil(&sim.segments()[1]);
    let report = verify();
    assert!(!report.is_whole());
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(report.undeliverable.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_torn_end_that_cannot_be_cut_is_no_damage() {
    let (sim, names) = killed().await;
    sim.tamper(sim.segments().last().unwrap(), |bytes| {
        bytes.extend([0xf0; 9])
    });
    sim.fail(Some(Trouble::Full));
    let spool = open(&sim, quick(), &NAMES);
    sim.fail(None);
    assert_eq!(delivered(spool).await, [&names[..], &names]);
    assert!(!sim.names().iter().any(|name| name.ends_with(".corrupt")));
}
