//! Commands on an open spool.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{Limits, Tally, WhenFull};

use super::sim::Sim;
use super::support::{TestSpool, eventually, name, open, settings, try_open};
use crate::{ReplayError, ReplayState, Settings};

/// A spool that holds records of 1,000 bytes for `old`, which the configuration will lack, and for `a`.
async fn after_a_rename(count: usize) -> (Arc<Sim>, Vec<String>) {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["old", "a"]);
    let names = spool.fill(count).await;
    spool.close();
    (sim, names)
}

async fn ended(spool: &TestSpool) -> ReplayState {
    let state = || spool.control.progress().unwrap().state;
    eventually("the end of the replay", || state() != ReplayState::Running).await;
    state()
}

#[tokio::test]
async fn what_a_renamed_target_left_goes_to_its_new_name_once() {
    let (sim, names) = after_a_rename(40).await;
    let spool = open(&sim, settings(Path::new("")), &["a", "new"]);
    let begun = spool.control.replay("old", "new").unwrap();
    assert_eq!(begun.left, 40);
    assert_eq!(ended(&spool).await, ReplayState::Done);
    let done = spool.control.progress().unwrap();
    let all = Tally {
        profiles: 40,
        bytes: 40_000,
    };
    assert_eq!((done.replayed, done.left), (all, 0));
    let again = spool.control.replay("old", "new");
    assert!(
        matches!(again, Err(ReplayError::UnknownFrom { .. })),
        "{again:?}"
    );
    assert_eq!(spool.counts(1).pending, all);
    assert_eq!(spool.counts(0).pending, all, "nobody else is concerned");
    // Whether the process is killed or closed, the new target has each record, once.
    let killed = sim.after_kill();
    spool.close();
    for (sim, how) in [(killed, "killed"), (sim.after_kill(), "closed")] {
        let spool = open(&sim, settings(Path::new("")), &["a", "new"]);
        assert_eq!(
            spool.pending().await,
            [names.clone(), names.clone()],
            "{how}"
        );
        if how == "closed" {
            assert_eq!(spool.monitor.stats().removed_targets, 0);
        }
        spool.close();
    }
}

#[tokio::test]
async fn a_replay_is_refused_where_it_makes_no_sense() {
    let (sim, _) = after_a_rename(3).await;
    let spool = open(&sim, settings(Path::new("")), &["a", "new"]);
    let refused = |from, to| spool.control.replay(from, to).unwrap_err().to_string();
    assert!(refused("a", "new").contains("are delivered already"));
    assert!(refused("nobody", "new").contains("there are: old"));
    assert!(refused("old", "nobody").contains("there are: a, new"));
    assert_eq!(spool.control.progress(), None);
}

#[tokio::test]
async fn a_replay_waits_for_room_in_the_queue_and_for_the_budget() {
    let (sim, names) = after_a_rename(30).await;
    let tight = Limits {
        records: 2,
        bytes: 3_000,
        when_full: WhenFull::DropOldest,
    };
    let spool = try_open(&sim, settings(Path::new("")), &["new"], tight).unwrap();
    let rest = spool.budget.most_held() - 1_500;
    let reserved = spool.budget.reserve(rest);
    spool.control.replay("old", "new").unwrap();
    drop(reserved);
    assert_eq!(ended(&spool).await, ReplayState::Done);
    let counts = spool.counts(0);
    assert_eq!(
        (counts.pending.profiles, counts.accepted.profiles),
        (30, 30)
    );
    let (delivered, _) = spool.drain().await;
    assert_eq!(delivered[0], names);
}

#[tokio::test]
async fn a_queue_that_will_never_have_room_costs_nothing() {
    let (sim, _) = after_a_rename(3).await;
    let narrow = Limits {
        records: 2,
        bytes: 999,
        when_full: WhenFull::DropOldest,
    };
    let mut spool = try_open(&sim, settings(Path::new("")), &["new"], narrow).unwrap();
    spool.control.room_timeout = Duration::from_millis(200);
    spool.control.replay("old", "new").unwrap();
    let ReplayState::Stopped(why) = ended(&spool).await else {
        panic!("it cannot be done");
    };
    assert!(why.contains("queue-bytes"), "{why}");
    assert_eq!(spool.control.progress().unwrap().left, 3);
    assert_eq!(
        spool.counts(0).accepted,
        Tally::default(),
        "no loss is counted"
    );
}

#[tokio::test]
async fn a_replay_stops_before_it_costs_anybody_a_record() {
    let (sim, names) = after_a_rename(200).await;
    let full = Settings {
        max_bytes: sim.bytes() + 80_000,
        ..settings(Path::new(""))
    };
    let spool = open(&sim, full, &["a", "new"]);
    spool.control.replay("old", "new").unwrap();
    let ReplayState::Stopped(why) = ended(&spool).await else {
        panic!("it cannot be done");
    };
    assert!(why.contains("spool.max-bytes"), "{why}");
    let stopped = spool.control.progress().unwrap();
    assert_eq!(stopped.replayed.profiles + stopped.left, 200);
    assert!(stopped.replayed.profiles > 0 && stopped.left > 0);
    assert_eq!(spool.monitor.stats().evicted_segments, 0);
    assert_eq!(spool.counts(0).pending.profiles, 200);
    spool.close();
    let spool = open(&sim, settings(Path::new("")), &["a", "new"]);
    spool.control.replay("old", "new").unwrap();
    assert_eq!(ended(&spool).await, ReplayState::Done);
    let [a, mut new] = <[_; 2]>::try_from(spool.pending().await).unwrap();
    // Two replays put the records into the queue, in two parts.
    new.sort_by_key(|name| names.iter().position(|other| other == name));
    assert!(a == names && new == names, "each of them, once");
}

#[tokio::test]
async fn a_damaged_record_is_counted_and_the_others_move_on() {
    let (sim, names) = after_a_rename(10).await;
    sim.tamper(&sim.segments()[0], |bytes| bytes[1_600] ^= 1);
    let clean = open(&sim, settings(Path::new("")), &["new"]);
    // The start reads the bodies of the last segment, and counts the damaged record as lost.
    clean.control.replay("old", "new").unwrap();
    assert_eq!(ended(&clean).await, ReplayState::Done);
    let (delivered, _) = clean.drain().await;
    assert_eq!(delivered[0].len(), names.len() - 1);
}

#[tokio::test]
async fn what_removed_targets_left_can_be_lost_at_once() {
    let sim = Sim::new();
    let spool = open(&sim, settings(Path::new("")), &["x", "y", "a"]);
    let names = spool.fill(5).await;
    spool.close();
    let spool = open(&sim, settings(Path::new("")), &["a"]);
    let all = Tally {
        profiles: 5,
        bytes: 5_000,
    };
    assert_eq!(
        spool.control.purge_removed(Some("y")).unwrap(),
        [("y".to_owned(), all)]
    );
    assert_eq!(
        spool.control.purge_removed(None).unwrap(),
        [("x".to_owned(), all)]
    );
    assert_eq!(spool.control.purge_removed(None).unwrap(), []);
    assert_eq!(spool.monitor.stats().removed_targets, 0);
    spool.close();
    let spool = open(&sim, settings(Path::new("")), &["a", "x", "y"]);
    assert_eq!(spool.pending().await, [names, vec![], vec![]]);
}

#[tokio::test]
async fn what_was_set_aside_can_be_deleted() {
    let (sim, _) = after_a_rename(3).await;
    sim.tamper(&sim.segments()[0], |bytes| bytes[40] ^= 1);
    let spool = open(&sim, settings(Path::new("")), &["a", "old"]);
    for target in 0..2 {
        while spool.counts(target).pending.profiles > 0 {
            assert!(!name(&spool.lease(target).await).is_empty());
            spool.lease(target).await.ack();
        }
    }
    eventually("it is set aside", || spool.monitor.stats().quarantined == 1).await;
    let purged = spool.control.purge_quarantined().unwrap();
    assert_eq!(purged.profiles, 1);
    assert!(purged.bytes > 3_000);
    let stats = spool.monitor.stats();
    assert_eq!((stats.quarantined, stats.quarantined_bytes), (0, 0));
    assert!(!sim.names().iter().any(|name| name.ends_with(".corrupt")));
}
