//! Targets that change while something else is under way: a day, a sync, the opening of the directory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use pyrotee_queue::{StepClock, shift};
use pyrotee_segments::SavedCursor;
use pyrotee_segments::inspect::{Directory, Membership};

use super::accounts::{cursors, eager};
use super::sim::Sim;
use super::support::{eventually, open, settings, start};
use crate::{Opening, Settings};

const HOUR: i64 = 3_600_000_000_000;

/// A clock that a test sets, in hours from now.
#[derive(Default)]
struct Hours(Arc<AtomicI64>);

impl Hours {
    fn set(&self, hours: i64) {
        self.0.store(hours * HOUR, SeqCst);
    }

    fn settings(&self, settings: Settings) -> Settings {
        let off = Arc::clone(&self.0);
        let read = move || (shift(SystemTime::now(), off.load(SeqCst)), 0);
        Settings {
            clock: StepClock::from_fn(read),
            ..settings
        }
    }
}

#[tokio::test]
async fn the_day_of_a_target_that_a_reload_removes_begins_with_the_reload() {
    let hours = Hours::default();
    let (at, settings) = (|hour| hours.set(hour), || hours.settings(eager()));
    for others in [&["b"][..], &[]] {
        let sim = Sim::new();
        at(-30);
        let mut spool = open(&sim, settings(), &["a", "b"]);
        spool.fill(3).await;
        at(-28);
        spool.put_in_force(others);
        let removed = spool.monitor.removed();
        assert_eq!(removed.len(), 2 - others.len());
        let is_saved = || {
            let saved = cursors(&sim).unwrap();
            let last = saved.last_seen().unwrap();
            let of_a = saved.targets.iter().find(|it| it.name == "a").unwrap();
            of_a.last_seen < last
        };
        eventually("the cursors tell of the removal", is_saved).await;
        let killed = sim.after_kill();
        spool.close();
        for sim in [killed, sim] {
            let survey = Directory::of(Arc::clone(&sim) as _).survey().unwrap();
            let is_removed = |name: &&str| {
                let mut targets = survey.targets.iter();
                targets.any(|it| it.name == **name && it.membership == Membership::Removed)
            };
            let gone: Vec<_> = ["a", "b"].into_iter().filter(is_removed).collect();
            assert_eq!(gone.len(), 2 - others.len());
            at(-28 + 23);
            let spool = open(&sim, settings(), &["c"]);
            let of_a = spool
                .monitor
                .removed()
                .into_iter()
                .find(|it| it.name == "a");
            let since = shift(SystemTime::now(), -28 * HOUR);
            let apart = since
                .duration_since(of_a.unwrap().since)
                .unwrap_or_default();
            assert!(apart < Duration::from_secs(60), "{apart:?}");
            assert_eq!(spool.lost_of_removed(), 0);
            at(-28 + 25);
            assert!(spool.keep("x-10").await);
            let gone = gone.len() as u64;
            eventually("the drop", || spool.lost_of_removed() >= 3 * gone).await;
            spool.close();
        }
    }
}

#[tokio::test]
async fn a_target_that_came_back_just_before_a_kill_was_not_removed_all_the_time() {
    let hours = Hours::default();
    let sim = Sim::new();
    hours.set(-30);
    let lazy = || hours.settings(settings(Path::new("")));
    let mut spool = open(&sim, lazy(), &["a", "b"]);
    let names = spool.fill(3).await;
    hours.set(-28);
    spool.put_in_force(&["b"]);
    spool.close();
    hours.set(-5);
    let mut spool = open(&sim, lazy(), &["b"]);
    spool.put_in_force(&["a", "b"]);
    assert!(spool.keep("new-10").await);
    let killed = sim.after_kill();
    hours.set(-3);
    let spool = open(&killed, lazy(), &["b"]);
    let removed = spool.monitor.removed();
    assert_eq!(removed[0].counts.pending.profiles, names.len() as u64 + 1);
    let since = removed[0].since;
    assert!(since > shift(SystemTime::now(), -4 * HOUR), "{since:?}");
}

/// The cursor of `a`, and whether it is that of a target in force.
fn cursor_of_a(sim: &Sim) -> (SavedCursor, bool) {
    let saved = cursors(sim).unwrap();
    let cursor = saved.targets.iter().find(|it| it.name == "a").unwrap();
    let is_in_force = Some(cursor.last_seen) == saved.last_seen();
    (cursor.clone(), is_in_force)
}

#[tokio::test]
async fn the_cursors_tell_of_a_removal_once_the_records_before_it_are_written() {
    for others in [&["b"][..], &[]] {
        let sim = Sim::new();
        let mut spool = open(&sim, eager(), &["a", "b"]);
        assert!(spool.keep("0-10").await);
        sim.syncs().close();
        let receipts = ["1-10", "2-10"].map(|name| spool.offer(name).receipt);
        eventually("the sync", || sim.syncs().is_waiting()).await;
        spool.put_in_force(others);
        let generation = || cursors(&sim).unwrap().generation;
        let before = generation();
        // The cursors are saved while no sync of cursors is under way.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (cursor, is_in_force) = cursor_of_a(&sim);
        assert!(is_in_force && cursor.horizon <= 1, "{before}: {cursor:?}");
        sim.syncs().open();
        for receipt in receipts {
            assert!(receipt.durable().await);
        }
        let is_told = || {
            let (cursor, is_in_force) = cursor_of_a(&sim);
            !is_in_force && cursor.horizon == 3
        };
        eventually("the removal is saved", is_told).await;
    }
}

#[tokio::test]
async fn targets_that_join_while_a_directory_opens_have_cursors_of_their_own() {
    let sim = Sim::new();
    let first = Settings {
        max_bytes: 8 << 20,
        segment_bytes: 1 << 20,
        fsync: crate::Fsync::Never,
        ..settings(Path::new(""))
    };
    let spool = open(&sim, first.clone(), &["gone", "a"]);
    for number in 0..2_000 {
        drop(spool.offer(&format!("{number}-10")));
    }
    eventually("all is written", || spool.monitor.stats().unwritten == 0).await;
    spool.close();
    for _ in 0..4 {
        let sim = sim.after_kill();
        let mut spool = start(Arc::clone(&sim) as _, first.clone(), &["a"]);
        let mut names = vec!["a".to_owned()];
        while spool.monitor.opening() != Opening::Open && names.len() < 100 {
            names.push(format!("joined-{}", names.len()));
            let list: Vec<_> = names.iter().map(String::as_str).collect();
            spool.put_in_force(&list);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        eventually("it is open", || spool.monitor.opening() == Opening::Open).await;
        assert!(spool.keep("last-10").await);
        let counts = |place| spool.counts(place).pending.profiles;
        assert_eq!(counts(0), 2_001);
        for place in 1..names.len() {
            assert_eq!(counts(place), 1, "{place} of {}", names.len());
        }
        let removed = spool.monitor.removed();
        let left = removed
            .iter()
            .map(|it| (&*it.name, it.counts.pending.profiles));
        assert_eq!(left.collect::<Vec<_>>(), [("gone", 2_000)]);
        let all: Vec<_> = names.iter().map(String::as_str).chain(["gone"]).collect();
        let places = spool.put_in_force(&all);
        assert_eq!(
            spool.counts(*places.last().unwrap()).pending.profiles,
            2_000
        );
        spool.close();
        let spool = open(&sim, first.clone(), &all);
        assert_eq!(spool.counts(all.len() - 1).pending.profiles, 2_000);
        spool.close();
    }
}

#[tokio::test]
async fn a_change_waits_neither_for_the_directory_nor_for_a_scan() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["a", "gone"]);
    let names = spool.fill(40).await;
    spool.close();
    sim.reads().close();
    let mut spool = start(Arc::clone(&sim) as _, settings(Path::new("")), &["b"]);
    eventually("the scan", || sim.reads().is_waiting()).await;
    drop(spool.offer("0-10"));
    // One returns whose records are being read, one joins, and one returns and leaves before they are read.
    spool.put_in_force(&["a", "b", "c", "gone"]);
    drop(spool.offer("1-10"));
    spool.put_in_force(&["a", "c"]);
    drop(spool.offer("2-10"));
    sim.reads().open();
    eventually("it is open", || spool.monitor.opening() == Opening::Open).await;
    let pending = |target: &str| match target {
        "b" => vec!["0-10".to_owned(), "1-10".to_owned()],
        "c" => vec!["1-10".to_owned(), "2-10".to_owned()],
        "a" => [names.clone(), vec!["1-10".to_owned(), "2-10".to_owned()]].concat(),
        _ => [names.clone(), vec!["1-10".to_owned()]].concat(),
    };
    let order = ["b", "a", "c", "gone"];
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    for (place, target) in order.into_iter().enumerate() {
        let found = sorted(spool.pending_of(place).await);
        assert_eq!(found, sorted(pending(target)), "{target}");
    }
    let removed = spool.monitor.removed().into_iter().map(|it| it.name);
    assert_eq!(removed.collect::<Vec<_>>(), ["b", "gone"]);
    eventually("all is written", || spool.monitor.stats().unwritten == 0).await;
    let killed = sim.after_kill();
    spool.close();
    for sim in [killed, sim] {
        let spool = open(&sim, settings(Path::new("")), &order);
        for (place, target) in order.into_iter().enumerate() {
            assert_eq!(
                sorted(spool.pending_of(place).await),
                sorted(pending(target))
            );
        }
        assert_eq!(spool.monitor.stats().corrupt_records, 0);
        spool.close();
    }
}
