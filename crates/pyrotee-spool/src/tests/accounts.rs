//! Accounts of lost records and of removed targets, across kills.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use pyrotee_queue::{Reason, StepClock, shift};
use pyrotee_segments::inspect::Directory;
use pyrotee_segments::{CURSOR_SLOTS, Cursors};

use super::damage::{NAMES, left_behind};
use super::sim::Sim;
use super::support::{eventually, open, settings};
use crate::Settings;

/// Settings that save cursors soon, as a relay does.
pub(super) fn eager() -> Settings {
    Settings {
        save_after: Duration::from_millis(1),
        ..settings(Path::new(""))
    }
}

pub(super) fn cursors(sim: &Sim) -> Option<Cursors> {
    let slots = CURSOR_SLOTS.into_iter().filter_map(|slot| {
        let mut cursors = None;
        sim.tamper(slot, |bytes| cursors = Cursors::decode(bytes).ok());
        Some(((), cursors?))
    });
    Cursors::latest(slots).map(|(_, cursors)| cursors)
}

#[tokio::test]
async fn a_segment_that_a_killed_process_had_only_begun_is_no_damage() {
    let (left, names) = left_behind().await;
    let spool = open(&left, settings(Path::new("")), &NAMES);
    let unclean = left.after_kill();
    spool.close();
    let head = {
        let mut head = Vec::new();
        left.tamper(&left.segments()[0], |bytes| {
            head.extend_from_slice(&bytes[..60])
        });
        head
    };
    for sim in [&left, &unclean] {
        for len in [0, 1, 8, 11, 23, 24, 51, 52] {
            let sim = sim.after_kill();
            let begun = "00000000000000000099.log".to_owned();
            sim.tamper(&begun, |bytes| bytes.extend_from_slice(&head[..len]));
            let directory = Directory::of(Arc::clone(&sim) as _);
            let report = directory.verify(|_| {}).unwrap();
            assert!(report.is_whole(), "{len}: {report:?}");
            let spool = open(&sim, settings(Path::new("")), &NAMES);
            assert_eq!(spool.monitor.stats().corrupt_stretches, 0, "{len}");
            assert_eq!(spool.lost(0, Reason::Corrupt), 0, "{len}");
            eventually("it is removed", || !sim.segments().contains(&begun)).await;
            assert!(
                !sim.names().iter().any(|it| it.ends_with(".corrupt")),
                "{len}"
            );
            assert!(spool.keep("new-10").await);
            let fresh_first = ["new-10".to_owned()].into_iter().chain(names.clone());
            assert_eq!(spool.pending().await[0], fresh_first.collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn what_a_kill_leaves_is_counted_though_no_target_settled_anything() {
    let sim = Sim::new();
    let spool = open(&sim, eager(), &NAMES);
    spool.fill(40).await;
    eventually("the horizon is saved", || {
        let is_saved = |it: &Cursors| it.targets.iter().all(|target| target.horizon == 40);
        cursors(&sim).is_some_and(|it| is_saved(&it))
    })
    .await;
    let left = sim.after_kill();
    spool.close();
    let segments = left.segments();
    for (segment, expected) in segments.iter().zip([15, 15, 10]) {
        let sim = left.after_kill();
        sim.take_away(segment);
        let spool = open(&sim, eager(), &NAMES);
        assert_eq!(
            spool.lost(0, Reason::Corrupt),
            expected,
            "{segment} is deleted"
        );
        assert_eq!(spool.counts(0).pending.profiles, 40 - expected);
        let sim = left.after_kill();
        sim.tamper(segment, |bytes| bytes.truncate(5_000));
        let spool = open(&sim, eager(), &NAMES);
        let lost = spool.lost(0, Reason::Corrupt);
        assert_eq!(lost, expected - 4, "{segment} is cut");
        assert_eq!(spool.counts(0).pending.profiles, 40 - lost);
    }
    // A new target loses no earlier record, and a removed target loses the damaged records that were for it.
    for segment in [&segments[1], &segments[2]] {
        let sim = left.after_kill();
        sim.tamper(segment, |bytes| bytes[2_000..5_000].fill(0));
        let spool = open(&sim, eager(), &["new", "a"]);
        assert_eq!(spool.lost(0, Reason::Corrupt), 0);
        let lost = spool.lost(1, Reason::Corrupt);
        assert!((3..=5).contains(&lost), "{lost}");
        assert_eq!(spool.lost_of_removed(), lost);
    }
}

#[tokio::test]
async fn a_number_that_was_settled_before_it_was_written_is_not_given_out_again() {
    let (left, names) = left_behind().await;
    // The cursors of a process that was killed: a number above the next one is settled.
    let mut saved = cursors(&left).unwrap();
    saved.generation += 1;
    saved.clean = false;
    for target in &mut saved.targets {
        target.settled.insert(43..44);
    }
    left.tamper(CURSOR_SLOTS[0], |bytes| *bytes = saved.encode());
    left.tamper(CURSOR_SLOTS[1], Vec::clear);
    let spool = open(&left, settings(Path::new("")), &NAMES);
    let mut all = names.clone();
    for number in 0..6 {
        all.push(format!("{}-10", 100 + number));
        assert!(spool.keep(all.last().unwrap()).await);
    }
    // This process is killed before it saves cursors of its own.
    let sim = left.after_kill();
    spool.close();
    sim.tamper(CURSOR_SLOTS[0], |bytes| *bytes = saved.encode());
    sim.tamper(CURSOR_SLOTS[1], Vec::clear);
    let spool = open(&sim, settings(Path::new("")), &NAMES);
    assert_eq!(spool.pending().await, [all.clone(), all]);
}

#[tokio::test]
async fn the_day_of_a_removed_target_begins_with_the_first_start_without_it() {
    const HOUR: i64 = 3_600_000_000_000;
    let off = Arc::new(AtomicI64::new(-30 * HOUR));
    let at = |hours: i64| off.store((hours - 30) * HOUR, SeqCst);
    let settings = || {
        let off = Arc::clone(&off);
        let start = off.load(SeqCst);
        let read = move || {
            let now = off.load(SeqCst);
            (shift(SystemTime::now(), now), now - start)
        };
        Settings {
            clock: StepClock::from_fn(read),
            ..settings(Path::new(""))
        }
    };
    let (sim, names) = left_behind().await;
    // The cursors were last saved 25 hours ago.
    let mut saved = cursors(&sim).unwrap();
    for target in &mut saved.targets {
        target.last_seen -= 25 * 3_600;
    }
    for slot in CURSOR_SLOTS {
        sim.tamper(slot, |bytes| *bytes = saved.encode());
    }
    at(30);
    for _ in 0..2 {
        let spool = open(&sim, settings(), &["a"]);
        assert!(spool.keep("x-10").await);
        assert_eq!(spool.monitor.stats().removed_targets, 1);
        assert_eq!(spool.lost_of_removed(), 0);
        spool.close();
    }
    at(30 + 23);
    let spool = open(&sim, settings(), &["a"]);
    assert!(spool.keep("y-10").await);
    assert_eq!(spool.monitor.stats().removed_targets, 1);
    spool.close();
    at(30 + 25);
    let spool = open(&sim, settings(), &["a"]);
    eventually("the drop", || spool.lost_of_removed() == names.len() as u64).await;
    spool.close();
}
