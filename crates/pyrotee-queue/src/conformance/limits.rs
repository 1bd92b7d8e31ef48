//! Conformance tests: limits, and which records are dropped at them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::harness::{ANY, Harness, MOMENT, Open, ROOMY, limits, query};
use crate::{Reason, RetryHistory, Tally, WhenFull};

pub(super) async fn both_limits_hold_and_leased_records_count(open: &Open<'_>) {
    let harness = Harness::new(open, &[limits(2, 1_000, WhenFull::DropNewest)]);
    assert_eq!(harness.offer("a", 1).await, 1);
    let lease = harness.lease(0).await;
    assert_eq!(harness.offer("b", 1).await, 1);
    assert_eq!(
        harness.offer("c", 1).await,
        0,
        "a leased record holds its place"
    );
    lease.ack();
    assert_eq!(harness.offer("d", 1).await, 1);

    let harness = Harness::new(open, &[limits(100, 30, WhenFull::DropNewest)]);
    assert_eq!(harness.offer("a", 20).await, 1);
    assert_eq!(harness.offer("b", 11).await, 0, "31 bytes are too many");
    assert_eq!(harness.offer("c", 10).await, 1);
    assert_eq!(
        harness.counts(0).dropped(Reason::QueueFull),
        Tally {
            profiles: 1,
            bytes: 11
        }
    );
    assert_eq!(
        harness.counts(0).refused,
        Tally {
            profiles: 1,
            bytes: 11
        }
    );
    let offer = |bytes| harness.producer.offer(&harness.record(1, "d", bytes));
    assert!(!offer(30).oversized, "it fits into an empty queue");
    assert!(offer(31).oversized);
}

pub(super) async fn a_purge_loses_what_waits_and_nothing_else(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY, ROOMY]);
    for name in ["a", "b", "c"] {
        assert_eq!(harness.offer(name, 10).await, 2);
    }
    let leased = harness.lease(0).await;
    let two = Tally {
        profiles: 2,
        bytes: 20,
    };
    assert_eq!(harness.consumer(0).purge(), two);
    assert_eq!(harness.counts(0).dropped(Reason::Admin), two);
    assert_eq!(
        harness.counts(1).pending.profiles,
        3,
        "the other keeps its own"
    );
    leased.ack();
    assert_eq!(harness.offer("d", 10).await, 2, "it goes on");
    let leased = harness.lease(0).await;
    assert_eq!(query(&leased), "d");
    assert_eq!(harness.consumer(0).purge(), Tally::default());
    leased.ack();
}

pub(super) async fn drop_newest_refuses_and_drop_oldest_displaces(open: &Open<'_>) {
    let harness = Harness::new(open, &[limits(3, 30, WhenFull::DropOldest)]);
    for name in ["a", "b", "c"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    let in_flight = harness.lease(0).await;
    assert_eq!(
        harness.offer("d", 20).await,
        1,
        "b and c make room, a is in flight"
    );
    assert_eq!(
        harness.counts(0).dropped(Reason::QueueFull),
        Tally {
            profiles: 2,
            bytes: 20
        }
    );
    assert_eq!(
        harness.offer("e", 31).await,
        0,
        "nothing is displaced for what never fits"
    );
    assert_eq!(
        harness.counts(0).pending,
        Tally {
            profiles: 2,
            bytes: 30
        }
    );
    in_flight.ack();
    let lease = harness.lease(0).await;
    assert_eq!(query(&lease), "d");
    lease.ack();
    harness.check_balance();
}

pub(super) async fn a_deferred_record_gives_way_and_is_drained(open: &Open<'_>) {
    let harness = Harness::new(open, &[limits(2, 1_000, WhenFull::DropOldest)]);
    for name in ["a", "b"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    let later = Instant::now() + Duration::from_secs(3_600);
    harness.lease(0).await.retry(later, RetryHistory::default());
    assert_eq!(harness.offer("c", 10).await, 1, "a is the oldest");
    assert_eq!(harness.counts(0).dropped(Reason::QueueFull).profiles, 1);
    let due = Instant::now() + 2 * MOMENT;
    harness.lease(0).await.retry(due, RetryHistory::default());
    let (consumer, target) = (
        Arc::clone(harness.consumer(0)),
        harness.targets.first().cloned(),
    );
    drop(harness);
    for name in ["c", "b"] {
        let lease = consumer.lease(&ANY).await.expect("it is still pending");
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    assert!(consumer.lease(&ANY).await.is_none());
    assert!(target.expect("one target").ledger.snapshot().balance());
}

pub(super) async fn a_full_queue_refuses_alone(open: &Open<'_>) {
    let harness = Harness::new(open, &[limits(1, 1_000, WhenFull::DropNewest), ROOMY]);
    assert_eq!(harness.offer("a", 10).await, 2);
    assert_eq!(harness.offer("b", 10).await, 1, "the other takes it");
    assert_eq!(harness.counts(0).pending.profiles, 1);
    assert_eq!(harness.counts(1).pending.profiles, 2);
}

pub(super) async fn what_lies_on_disk_does_not_count(open: &Open<'_>) {
    let harness = Harness::new(open, &[limits(1, 10, WhenFull::DropNewest)]);
    for name in ["a", "b", "c"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    assert_eq!(harness.offer("d", 11).await, 0, "it never fits in memory");
    for name in ["a", "b", "c"] {
        let lease = harness.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    harness.check_balance();
}
