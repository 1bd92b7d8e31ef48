//! Targets that join, leave and return while the spool is open.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{LeaseFilter, Reason, Tally};
use pyrotee_segments::SavedCursor;
use pyrotee_segments::inspect::Membership;

use super::accounts::{cursors, eager};
use super::sim::{Sim, Trouble};
use super::support::{TestSpool, check_heads, eventually, in_time, name, open, settings};
use crate::{Mode, ReplayState};

fn ended(spool: &TestSpool) -> Option<ReplayState> {
    let state = spool.control.progress().unwrap().state;
    (state != ReplayState::Running).then_some(state)
}

#[tokio::test]
async fn a_target_that_returns_after_a_restart_has_its_records_and_its_account() {
    let sim = Sim::new();
    let mut spool = open(&sim, eager(), &["a", "b"]);
    let names = spool.fill(3).await;
    spool.put_in_force(&["b"]);
    assert!(spool.keep("missed-10").await);
    spool.close();
    let mut spool = open(&sim, eager(), &["b"]);
    assert!(spool.keep("missed-20").await);
    let removed = spool.monitor.removed();
    assert_eq!((removed.len(), removed[0].name.as_str()), (1, "a"));
    let a = spool.put_in_force(&["b", "a"])[1];
    assert!(spool.keep("new-10").await);
    assert_eq!(spool.monitor.removed(), []);
    assert_eq!(spool.counts(a).accepted.profiles, 4, "it goes on counting");
    let mut all = vec!["new-10".to_owned()];
    all.extend(names);
    assert_eq!(spool.pending_of(a).await, all);
    let survey = spool.monitor.survey();
    let configured = survey.targets.iter().map(|it| it.membership);
    assert_eq!(configured.collect::<Vec<_>>(), [Membership::Configured; 2]);
    spool.close();
    let spool = open(&sim, eager(), &["a"]);
    all.rotate_left(1);
    assert_eq!(spool.pending_of(0).await, all);
    assert_eq!(spool.monitor.stats().corrupt_records, 0);
}

#[tokio::test]
async fn what_others_settled_before_it_was_written_is_not_missing_for_who_was_away() {
    let sim = Sim::new();
    let spool = open(&sim, eager(), &["a", "b"]);
    spool.fill(2).await;
    spool.close();
    let spool = open(&sim, eager(), &["b"]);
    // Numbers that no file has: nobody could write.
    sim.fail(Some(Trouble::From(0)));
    for number in 0..3 {
        drop(spool.offer(&format!("{number}-10")));
        spool.lease(0).await.ack();
    }
    let fails = || spool.monitor.mode() != Mode::Disk;
    eventually("the trouble is noticed", fails).await;
    sim.fail(None);
    let writes = || spool.monitor.mode() == Mode::Disk;
    eventually("the disk is used again", writes).await;
    assert!(spool.keep("last-10").await);
    spool.close();
    let spool = open(&sim, eager(), &["a", "b"]);
    assert_eq!(spool.counts(0).accepted.profiles, 2);
    assert_eq!(spool.monitor.stats().corrupt_records, 0);
}

#[tokio::test]
async fn a_replay_takes_over_from_a_deliverer_that_drains() {
    let sim = Sim::new();
    let mut spool = open(&sim, settings(Path::new("")), &["old", "new"]);
    let names = spool.fill(20).await;
    let in_flight = spool.lease(0).await;
    spool.put_in_force(&["new"]);
    // The deliverer waits for the end of the queue.
    let deliverer = Arc::clone(&spool.consumers[0]);
    let mut leases = Vec::new();
    for _ in 1..names.len() {
        leases.push(spool.lease(0).await);
    }
    let waiting = tokio::spawn(async move { deliverer.lease(&LeaseFilter::ANY).await.is_none() });
    tokio::time::sleep(Duration::from_millis(10)).await;
    spool.registry.end_draining(spool.ids[0]);
    assert!(in_time("the end", waiting).await.unwrap());
    let begun = spool.control.replay("old", "new").unwrap();
    assert_eq!(begun.left, 20);
    drop(leases);
    in_flight.ack();
    eventually("the end of the replay", || ended(&spool).is_some()).await;
    assert_eq!(ended(&spool), Some(ReplayState::Done));
    let done = spool.control.progress().unwrap();
    assert_eq!((done.replayed.profiles, done.left), (19, 0));
    assert_eq!(spool.counts(0).sent.profiles, 20);
    assert_eq!(spool.counts(1).pending.profiles, 39);
    let ended = spool.consumers[0].lease(&LeaseFilter::ANY);
    assert!(in_time("the end", ended).await.is_none());
}

#[tokio::test]
async fn a_replay_ends_when_one_of_its_targets_comes_or_goes() {
    for from_returns in [true, false] {
        let sim = Sim::new();
        let mut spool = open(&sim, settings(Path::new("")), &["old", "new"]);
        spool.fill(10).await;
        spool.put_in_force(&["new"]);
        // The replay waits for the records that are in flight.
        let mut leases = Vec::new();
        for _ in 0..10 {
            leases.push(spool.lease(0).await);
        }
        spool.control.replay("old", "new").unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let list: &[&str] = if from_returns { &["old", "new"] } else { &[] };
        spool.put_in_force(list);
        drop(leases);
        eventually("the end of the replay", || ended(&spool).is_some()).await;
        let Some(ReplayState::Stopped(why)) = ended(&spool) else {
            panic!("{:?}", ended(&spool));
        };
        let expected = if from_returns {
            "configured again"
        } else {
            "was removed"
        };
        assert!(why.contains(expected), "{why}");
        spool.put_in_force(&["old", "new"]);
        assert_eq!(spool.pending_of(0).await.len(), 10);
        assert_eq!(spool.counts(1).accepted.profiles, 10);
    }
}

#[tokio::test]
async fn what_a_purge_of_a_removed_target_lost_concerns_no_later_record() {
    let sim = Sim::new();
    let mut spool = open(&sim, settings(Path::new("")), &["a", "b"]);
    spool.fill(3).await;
    let leased = spool.lease(0).await;
    spool.put_in_force(&["b"]);
    for _ in 0..2 {
        spool.control.purge_removed(None).unwrap();
    }
    assert_eq!(spool.lost(0, Reason::Admin), 2);
    spool.put_in_force(&["a", "b"]);
    assert!(spool.keep("later-10").await);
    let later = spool.lease(0).await;
    drop(leased);
    drop(later);
    assert_eq!(spool.lost(0, Reason::Admin), 3);
    assert_eq!(spool.pending_of(0).await, ["later-10"]);
}

#[tokio::test]
async fn only_what_removed_targets_have_in_memory_is_shed() {
    let sim = Sim::new();
    let mut spool = open(&sim, settings(Path::new("")), &["a", "b"]);
    spool.fill(3).await;
    sim.fail(Some(Trouble::From(0)));
    for number in 0..2 {
        assert!(!spool.keep(&format!("{number}-500")).await);
    }
    spool.put_in_force(&["b"]);
    spool.registry.shed_removed(500);
    let lost = spool.counts(0).dropped(Reason::TargetRemoved);
    assert_eq!(
        lost,
        Tally {
            profiles: 1,
            bytes: 500
        }
    );
    spool.registry.shed_removed(0);
    assert_eq!(spool.lost(0, Reason::TargetRemoved), 2);
    assert_eq!(spool.counts(0).pending.profiles, 3, "these are on disk");
    assert_eq!(spool.counts(1).pending.profiles, 5);
}

#[tokio::test]
async fn a_thousand_names_have_queues_of_their_own() {
    let sim = Sim::new();
    let mut spool = open(&sim, settings(Path::new("")), &[]);
    let names: Vec<_> = (0..1_000)
        .map(|number| format!("target-{number}"))
        .collect();
    for chunk in names.chunks(100) {
        let chunk: Vec<_> = chunk.iter().map(String::as_str).collect();
        spool.put_in_force(&chunk);
        assert!(spool.keep(&format!("{}-10", chunk[0])).await);
    }
    spool.close();
    let all: Vec<_> = names.iter().map(String::as_str).collect();
    let spool = open(&sim, settings(Path::new("")), &all);
    for place in (0..1_000).step_by(50) {
        let expected = format!("target-{}-10", place / 100 * 100);
        let lease = spool.lease(place).await;
        assert_eq!(name(&lease), expected);
        assert_eq!(spool.counts(place).accepted.profiles, 1);
    }
    assert_eq!(spool.monitor.survey().targets.len(), all.len());
}

#[tokio::test]
async fn damage_costs_those_who_were_in_force() {
    let sim = Sim::new();
    let mut spool = open(&sim, eager(), &["a", "b"]);
    spool.fill(10).await;
    spool.put_in_force(&["b", "c"]);
    spool.fill(10).await;
    spool.put_in_force(&["a", "b", "c"]);
    spool.fill(10).await;
    let is_saved = || {
        let is_described = |it: &SavedCursor| it.horizon == 30;
        cursors(&sim).is_some_and(|it| it.targets.iter().all(is_described))
    };
    eventually("the horizon is saved", is_saved).await;
    let killed = sim.after_kill();
    spool.close();
    let segments = sim.segments();
    // The second segment has 10 records for two targets, then 5 for all three.
    let losses = [[10, 10, 0], [5, 15, 15], [5, 5, 5]];
    assert_eq!(segments.len(), losses.len());
    for left in [killed, sim] {
        for (segment, expected) in segments.iter().zip(losses) {
            let sim = left.after_kill();
            sim.take_away(segment);
            for list in [&["a", "b", "c"][..], &["c"]] {
                let spool = open(&sim.after_kill(), eager(), list);
                let lost = |place| spool.lost(place, Reason::Corrupt);
                if list.len() == 3 {
                    assert_eq!([0, 1, 2].map(lost), expected, "{segment}");
                } else {
                    assert_eq!(lost(0), expected[2]);
                    assert_eq!(spool.lost_of_removed(), expected[0] + expected[1]);
                }
            }
        }
    }
}

#[tokio::test]
async fn what_could_not_be_read_reaches_those_who_left_and_returned_meanwhile() {
    let sim = Sim::new();
    let spool = open(&sim, eager(), &["left", "returned", "gone"]);
    let names = spool.fill(10).await;
    spool.close();
    sim.spoil(&sim.segments()[0]);
    let mut spool = open(&sim, eager(), &["left", "returned"]);
    assert_eq!(spool.monitor.stats().unreadable_segments, 1);
    spool.put_in_force(&["joined"]);
    let unread = spool.monitor.removed().into_iter().map(|it| it.unread);
    assert_eq!(unread.collect::<Vec<_>>(), [10; 3]);
    spool.put_in_force(&["returned", "joined"]);
    sim.heal();
    let is_read = || spool.monitor.stats().unreadable_segments == 0;
    eventually("it is read", is_read).await;
    let counts = [0, 1, 2].map(|place| spool.counts(place).accepted.profiles);
    assert_eq!(counts, [10, 10, 0]);
    let gone = spool.put_in_force(&["returned", "joined", "gone"])[2];
    assert_eq!(spool.pending_of(gone).await, names);
    assert_eq!(spool.pending_of(1).await, names);
    spool.control.purge_removed(Some("left")).unwrap();
    assert_eq!(spool.lost(0, Reason::Admin), 10);
    assert_eq!(spool.monitor.stats().corrupt_records, 0);
}

#[test]
fn each_record_reaches_a_renamed_target_once_whatever_runs_at_the_same_time() {
    let sim = Sim::new();
    let mut spool = open(&sim, settings(Path::new("")), &["x"]);
    let producer = Arc::clone(&spool.producer);
    let records: Vec<_> = (0..1_000)
        .map(|number| spool.record(&format!("{number}-10")))
        .collect();
    std::thread::scope(|scope| {
        let offering: Vec<_> = records
            .chunks(500)
            .map(|records| {
                let producer = &producer;
                scope.spawn(move || {
                    for record in records {
                        let offered = producer.offer(record);
                        assert_eq!((offered.queued, offered.refused), (1, 0));
                    }
                })
            })
            .collect();
        let mut turn = 0;
        while offering.iter().any(|thread| !thread.is_finished()) {
            turn += 1;
            let name = format!("x{}", turn % 7);
            spool.put_in_force(&[&name]);
        }
    });
    let ledgers = spool.ledgers.iter();
    let accepted: u64 = ledgers.map(|it| it.snapshot().accepted.profiles).sum();
    assert_eq!(accepted, 1_000);
    drop(producer);
    spool.close();
    check_heads(&sim);
    let names: Vec<_> = (0..7).map(|turn| format!("x{turn}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).chain(["x"]).collect();
    let spool = open(&sim, settings(Path::new("")), &names);
    let pending = (0..names.len()).map(|place| spool.counts(place).pending.profiles);
    assert_eq!(pending.sum::<u64>(), 1_000);
}
