//! Conformance tests: lanes, surfaces, deferral and age.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::harness::{ANY, Harness, MOMENT, Open, ROOMY, query};
use crate::{Lane, LeaseFilter, Reason, RetryHistory, SurfaceId, Surfaces, Tally};

pub(super) async fn a_retried_record_comes_when_it_is_due_and_remembers(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY]);
    for name in ["a", "b"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    let a = harness.lease(0).await;
    assert_eq!(a.history(), RetryHistory::default());
    let history = RetryHistory {
        failures: 3,
        unknown_failures: 2,
        ambiguous_failures: 4,
        panics: 2,
        ended_processes: 1,
        failures_while_healthy: 1,
        acked_at_last_failure: 7,
        last_status: Some(503),
    };
    let due = Instant::now() + 5 * MOMENT;
    a.retry(due, history);
    assert_eq!(
        harness.counts(0).pending.profiles,
        2,
        "a deferred record counts"
    );
    let b = harness.lease(0).await;
    assert_eq!(query(&b), "b");
    assert!(harness.is_waiting(&ANY).await);
    let deferred = ANY.map(|filter| LeaseFilter {
        deferred: true,
        ..filter
    });
    let a = harness.lease_of(0, &deferred).await;
    assert_eq!((query(&a), a.history()), ("a", history));
    a.retry(due, history);
    let a = harness.lease(0).await;
    assert!(Instant::now() >= due);
    assert_eq!((query(&a), a.history()), ("a", history));
    // A release does not count as a delivery.
    drop(a);
    let a = harness.lease(0).await;
    assert_eq!((query(&a), a.history()), ("a", history));
    a.ack();
    b.ack();
    harness.check_balance();
}

pub(super) async fn what_is_asked_for_first_comes_first(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY]);
    for name in ["a", "b"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    harness.consumer(0).fall_behind();
    let [fresh, backlog, _] = ANY;
    assert!(harness.is_waiting(&[fresh]).await);
    assert!(harness.is_waiting(&[]).await);
    assert_eq!(harness.offer("c", 10).await, 1);
    for (filters, name, lane) in [
        ([fresh, backlog], "c", Lane::Fresh),
        ([fresh, backlog], "a", Lane::Backlog),
        ([backlog, fresh], "b", Lane::Backlog),
    ] {
        let lease = harness.lease_of(0, &filters).await;
        assert_eq!((query(&lease), lease.lane()), (name, lane));
        lease.ack();
    }
    harness.check_balance();
}

pub(super) async fn surfaces_are_leased_apart(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY]);
    for (surface, name) in [(1, "a"), (2, "b"), (200, "c")] {
        assert_eq!(harness.offer_by(surface, name, 10).await, 1);
    }
    let of = |surfaces| LeaseFilter { surfaces, ..ANY[0] };
    let none = Surfaces::NONE;
    assert!(
        harness
            .is_waiting(&[of(none), of(none.with(SurfaceId(3)))])
            .await
    );
    let lease = harness
        .lease_of(0, &[of(Surfaces::ALL.without(SurfaceId(1)))])
        .await;
    assert_eq!(query(&lease), "b");
    drop(lease);
    for (surface, name) in [(1, "a"), (200, "c"), (2, "b")] {
        let lease = harness
            .lease_of(0, &[of(none.with(SurfaceId(surface)))])
            .await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    harness.check_balance();
}

pub(super) async fn what_is_too_old_is_lost_unless_it_is_leased(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY]);
    // A record of n bytes was received n seconds after the epoch.
    for (name, bytes) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
        assert_eq!(harness.offer(name, bytes).await, 1);
    }
    let a = harness.lease(0).await;
    let b = harness.lease(0).await;
    b.retry(
        Instant::now() + Duration::from_secs(3_600),
        RetryHistory::default(),
    );
    let limit = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
    harness.consumer(0).expire(limit);
    assert_eq!(
        harness.counts(0).dropped(Reason::Expired),
        Tally {
            profiles: 1,
            bytes: 20
        }
    );
    a.ack();
    for name in ["c", "d"] {
        let lease = harness.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    assert_eq!(harness.counts(0).pending, Tally::default());
    harness.check_balance();
}
