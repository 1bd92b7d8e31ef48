//! Threads that panic.

use std::path::Path;
use std::time::Duration;

use pyrotee_queue::{Part, Reason, Supervisor};

use super::sim::{Sim, Trouble};
use super::support::{eventually, name, open, settings};
use crate::{Mode, ReplayState, Settings};

/// Settings that save the cursors after 1 ms, and the supervisor in them.
fn supervised() -> (Settings, Supervisor) {
    let settings = Settings {
        save_after: Duration::from_millis(1),
        ..settings(Path::new(""))
    };
    let supervisor = settings.supervisor.clone();
    (settings, supervisor)
}

fn names(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    let name = |number| format!("{number}-1000");
    numbers.into_iter().map(name).collect()
}

#[tokio::test]
async fn a_record_whose_read_panics_waits_and_the_others_are_read() {
    let sim = Sim::new();
    let (settings, supervisor) = supervised();
    let spool = open(&sim, settings, &["a", "b"]);
    spool.fill(9).await;
    let [segment] = &sim.segments()[..] else {
        panic!("one segment");
    };
    // In the middle of the fifth record.
    sim.curse(segment, 5_000..5_001);
    for target in 0..2 {
        for number in [0, 1, 2, 3, 5, 6, 7, 8] {
            let lease = spool.lease(target).await;
            assert_eq!(name(&lease), format!("{number}-1000"));
            lease.ack();
        }
    }
    assert_eq!(spool.monitor.mode(), Mode::Disk, "the disk is well");
    assert!(supervisor.panics(Part::SpoolRead) >= 1);
    sim.heal();
    for target in 0..2 {
        let lease = spool.lease(target).await;
        assert_eq!(name(&lease), "4-1000");
        lease.ack();
        assert_eq!(spool.counts(target).sent.profiles, 9);
    }
    assert_eq!(spool.budget.recorded(), 0, "no request holds memory");
}

#[tokio::test]
async fn a_panic_of_the_writer_at_any_change_loses_no_record() {
    let changes = {
        let sim = Sim::new();
        let spool = open(&sim, supervised().0, &["a"]);
        spool.fill(20).await;
        sim.changes()
    };
    assert!(changes > 20);
    for from in 0..changes {
        let sim = Sim::new();
        sim.fail(Some(Trouble::Panics { from, times: 1 }));
        let (settings, supervisor) = supervised();
        let spool = open(&sim, settings, &["a"]);
        for number in 0..20 {
            spool.keep(&format!("{number}-1000")).await;
        }
        spool.lease(0).await.ack();
        let mut next = 20;
        // Records are written in their order.
        while !spool.keep(&format!("{next}-1000")).await {
            next += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The number of changes that depend on the time may differ.
        assert!(supervisor.panics(Part::SpoolWrite) <= 1, "{from}");
        assert_eq!(spool.counts(0).pending.profiles, next);
        let spool = open(
            &sim.after_kill(),
            super::support::settings(Path::new("")),
            &["a"],
        );
        let mut pending = spool.pending().await.remove(0);
        pending.retain(|name| name != "0-1000");
        assert_eq!(pending, names(1..next + 1), "{from}");
        assert_eq!(spool.lost(0, Reason::Corrupt), 0, "{from}");
    }
}

#[tokio::test]
async fn a_writer_that_keeps_panicking_leaves_the_records_in_memory_until_the_end() {
    let sim = Sim::new();
    let (settings, supervisor) = supervised();
    let spool = open(&sim, settings.clone(), &["a"]);
    spool.fill(5).await;
    // Enough for the thread that syncs as well, which may take some of them.
    let (from, times) = (sim.changes(), 1_000);
    sim.fail(Some(Trouble::Panics { from, times }));
    assert!(!spool.keep("5-1000").await, "a receipt does not lie");
    eventually("the third panic", || {
        supervisor.panics(Part::SpoolWrite) >= 3
    })
    .await;
    sim.fail(None);
    // Longer than the time until the next attempt to write.
    tokio::time::sleep(4 * settings.retry_after).await;
    assert_eq!(spool.monitor.mode(), Mode::MemoryOnly);
    assert!(!spool.keep("6-1000").await);
    for number in [0, 1, 2] {
        let lease = spool.lease(0).await;
        assert_eq!(
            name(&lease),
            format!("{number}-1000"),
            "records on disk are delivered"
        );
        lease.ack();
    }
    let counts = spool.shut_down();
    assert_eq!(counts.pending.profiles, 2, "they are on disk");
    assert_eq!(counts.dropped(Reason::Shutdown).profiles, 2);
    let spool = open(&sim.after_kill(), settings, &["a"]);
    assert_eq!(spool.pending().await, [names([3, 4])], "none is repeated");
}

#[tokio::test]
async fn a_panic_while_the_spool_closes_does_not_keep_it() {
    for times in 1..4 {
        let sim = Sim::new();
        let (settings, _) = supervised();
        let spool = open(&sim, settings.clone(), &["a"]);
        spool.fill(5).await;
        spool.lease(0).await.ack();
        let from = sim.changes();
        sim.fail(Some(Trouble::Panics { from, times }));
        spool.close();
        sim.fail(None);
        let spool = open(&sim.after_kill(), settings, &["a"]);
        let mut pending = spool.pending().await.remove(0);
        pending.retain(|name| name != "0-1000");
        assert_eq!(pending, names(1..5), "{times}");
        assert_eq!(spool.lost(0, Reason::Corrupt), 0);
    }
}

#[tokio::test]
async fn a_replay_whose_reads_panic_stops_and_can_be_begun_again() {
    let sim = Sim::new();
    let (settings, supervisor) = supervised();
    let spool = open(&sim, settings.clone(), &["old"]);
    spool.fill(3).await;
    spool.close();
    let mut spool = open(&sim, settings, &["new"]);
    let [segment] = &sim.segments()[..] else {
        panic!("one segment");
    };
    sim.curse(segment, 0..1_000_000);
    let patience = std::mem::replace(&mut spool.control.room_timeout, Duration::from_millis(100));
    spool.control.replay("old", "new").unwrap();
    let state = || spool.control.progress().unwrap().state;
    eventually("the end of the replay", || state() != ReplayState::Running).await;
    let ReplayState::Stopped(why) = state() else {
        panic!("{:?}", state());
    };
    assert!(why.contains("could not be read in time"), "{why}");
    assert!(supervisor.panics(Part::SpoolRead) > 0);
    sim.heal();
    spool.control.room_timeout = patience;
    spool.control.replay("old", "new").unwrap();
    let state = || spool.control.progress().unwrap().state;
    eventually("the end of the replay", || state() == ReplayState::Done).await;
    let mut pending = spool.pending().await;
    pending[0].sort();
    assert_eq!(pending, [names(0..3)]);
}
