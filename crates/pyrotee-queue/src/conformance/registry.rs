//! Targets that join, leave and return while records are offered.

use super::harness::{ANY, Harness, Open, ROOMY, limits, query};
use crate::{Reason, Tally, WhenFull};

pub(super) async fn each_target_gets_what_is_offered_while_it_is_in_force(open: &Open<'_>) {
    let mut harness = Harness::new(open, &[ROOMY, ROOMY]);
    assert_eq!(harness.offer("both", 10).await, 2);
    harness.put_in_force(&[0, 2]);
    assert_eq!(harness.offer("joined", 10).await, 2);
    harness.put_in_force(&[]);
    assert_eq!(harness.offer("nobody", 10).await, 0);
    let removed = harness.id(1);
    let record = harness.record(1, "late", 10);
    let late = harness.producer.offer_to_target(removed, &record);
    assert_eq!((late.queued, late.refused), (0, 0), "it was removed");
    harness.producer.refuse(10, Reason::Budget);
    for (target, names) in [
        (0, &["both", "joined"][..]),
        (1, &["both"]),
        (2, &["joined"]),
    ] {
        for name in names {
            let lease = harness.lease(target).await;
            assert_eq!(query(&lease), *name, "target {target}");
            lease.ack();
        }
        let lease = harness.consumer(target).lease(&ANY).await;
        assert!(lease.is_none(), "the queue of a removed target ends");
        let counts = harness.counts(target);
        assert_eq!(counts.accepted.profiles, names.len() as u64, "{target}");
    }
    harness.check_balance();
}

pub(super) async fn a_target_that_returns_has_its_queue_and_account(open: &Open<'_>) {
    let mut harness = Harness::new(open, &[limits(100, 25, WhenFull::DropNewest), ROOMY]);
    assert_eq!(harness.offer("first", 10).await, 2);
    harness.put_in_force(&[1]);
    assert_eq!(harness.offer("missed", 10).await, 1);
    for target in &mut harness.targets {
        target.limits = ROOMY;
    }
    harness.put_in_force(&[1, 0]);
    for name in ["second", "third"] {
        assert_eq!(harness.offer(name, 10).await, 2, "with the new limits");
    }
    for name in ["first", "second", "third"] {
        let lease = harness.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    assert_eq!(harness.counts(0).sent.profiles, 3);
    assert_eq!(harness.counts(1).accepted.profiles, 4);
    // A lease of the time before ends as it began.
    let lease = harness.lease(1).await;
    harness.put_in_force(&[0]);
    harness.put_in_force(&[0, 1]);
    drop(lease);
    assert_eq!(query(&harness.lease(1).await), "first");
    harness.check_balance();
}

pub(super) async fn a_record_reaches_a_renamed_target_under_one_name(open: &Open<'_>) {
    let mut harness = Harness::new(open, &[ROOMY]);
    for turn in 0..20 {
        let name = turn.to_string();
        assert_eq!(harness.offer(&name, 10).await, 1);
        harness.put_in_force(&[(turn + 1) % 2]);
    }
    let accepted = [harness.counts(0), harness.counts(1)].map(|it| it.accepted.profiles);
    assert_eq!(accepted, [10, 10]);
}

pub(super) async fn a_target_whose_draining_ends_loses_its_records(open: &Open<'_>) {
    let mut harness = Harness::new(open, &[ROOMY, ROOMY]);
    for name in ["a", "b", "c"] {
        assert_eq!(harness.offer(name, 10).await, 2);
    }
    let (sent, released) = (harness.lease(0).await, harness.lease(0).await);
    harness.put_in_force(&[1]);
    harness.registry.end_draining(harness.id(0));
    harness.registry.end_draining(harness.id(1));
    sent.ack();
    drop(released);
    let counts = harness.counts(0);
    let lost = Tally {
        profiles: 2,
        bytes: 20,
    };
    assert_eq!(counts.dropped(Reason::TargetRemoved), lost);
    assert_eq!((counts.sent.profiles, counts.pending.profiles), (1, 0));
    assert_eq!(harness.counts(1).pending.profiles, 3, "it is in the list");
    harness.put_in_force(&[0, 1]);
    assert_eq!(harness.offer("d", 10).await, 2);
    assert_eq!(query(&harness.lease(0).await), "d");
    harness.check_balance();
}

pub(super) async fn a_target_whose_draining_ends_keeps_its_records(open: &Open<'_>) {
    let mut harness = Harness::new(open, &[ROOMY, ROOMY]);
    for name in ["a", "b"] {
        assert_eq!(harness.offer(name, 10).await, 2);
    }
    harness.put_in_force(&[1]);
    harness.registry.end_draining(harness.id(0));
    assert_eq!(harness.counts(0).pending.profiles, 2);
    harness.put_in_force(&[0, 1]);
    assert_eq!(harness.offer("c", 10).await, 2);
    for name in ["a", "b", "c"] {
        let lease = harness.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    harness.check_balance();
}

pub(super) async fn removed_targets_shed_their_oldest_records(open: &Open<'_>) {
    let mut harness = Harness::new(open, &[ROOMY, ROOMY, ROOMY]);
    // The harness makes a record that is longer one that was received later.
    for bytes in [10, 20, 30] {
        assert_eq!(harness.offer(&bytes.to_string(), bytes).await, 3);
    }
    let leased = harness.lease(0).await;
    harness.put_in_force(&[2]);
    harness.registry.shed_removed(120);
    assert_eq!(harness.counts(1).pending.profiles, 3, "120 bytes are held");
    harness.registry.shed_removed(80);
    let lost = |target: usize| harness.counts(target).dropped(Reason::TargetRemoved).bytes;
    // 10 of the second, then 20 of the first; 20 of the second; 10 of the first are leased.
    assert_eq!((lost(0) + lost(1), lost(2)), (50, 0));
    harness.registry.shed_removed(0);
    assert_eq!((lost(0), lost(1), lost(2)), (50, 60, 0));
    leased.ack();
    assert_eq!(harness.counts(0).sent.bytes, 10);
    harness.check_balance();
}

pub(super) async fn no_queue_opens_after_the_producer_is_gone(open: &Open<'_>) {
    let mut harness = Harness::new(open, &[ROOMY, ROOMY]);
    harness.put_in_force(&[1]);
    let empty = Harness::new(open, &[]);
    let producer = std::mem::replace(&mut harness.producer, empty.producer);
    drop(producer);
    harness.put_in_force(&[0, 1, 2]);
    for target in 0..3 {
        let lease = harness.consumer(target).lease(&ANY).await;
        assert!(lease.is_none(), "target {target}");
    }
}
