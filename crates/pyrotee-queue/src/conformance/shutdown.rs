//! Conformance tests: closing, abandoning and shutting down.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::harness::{ANY, Harness, Open, ROOMY};
use crate::{Reason, Tally};

pub(super) async fn a_closed_queue_is_drained_then_ends(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY]);
    assert_eq!(harness.offer("a", 10).await, 1);
    assert_eq!(
        harness.consumer(0).oldest(),
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(10))
    );
    let consumer = Arc::clone(harness.consumer(0));
    let target = harness.targets.first().cloned().expect("one target");
    let lease = harness.lease(0).await;
    drop(harness);
    drop(lease);
    let lease = consumer
        .lease(&ANY)
        .await
        .expect("a released record is delivered after the close");
    lease.ack();
    assert!(consumer.lease(&ANY).await.is_none());
    assert!(consumer.lease(&ANY).await.is_none(), "and stays ended");
    assert_eq!(target.ledger.snapshot().sent.profiles, 1);
    assert_eq!(consumer.oldest(), None);
}

pub(super) async fn an_abandoned_queue_counts_what_it_loses(open: &Open<'_>, reason: Reason) {
    let harness = Harness::new(open, &[ROOMY]);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    let (sent, released) = (harness.lease(0).await, harness.lease(0).await);
    harness.consumer(0).abandon(reason);
    sent.ack();
    drop(released);
    assert_eq!(harness.offer("e", 10).await, 0);
    let counts = harness.counts(0);
    assert_eq!(counts.sent.profiles, 1);
    assert_eq!(
        counts.dropped(reason),
        Tally {
            profiles: 4,
            bytes: 40
        }
    );
    assert_eq!(counts.pending, Tally::default());
    assert!(harness.consumer(0).lease(&ANY).await.is_none());
}

pub(super) async fn what_is_pending_at_shutdown_stays_pending(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY]);
    for name in ["a", "b", "c"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    let (sent, released) = (harness.lease(0).await, harness.lease(0).await);
    harness.consumer(0).abandon(Reason::Shutdown);
    sent.ack();
    drop(released);
    assert_eq!(harness.offer("d", 10).await, 0);
    let counts = harness.counts(0);
    assert_eq!(counts.sent.profiles, 1);
    assert_eq!(counts.pending.profiles, 2);
    assert_eq!(counts.dropped(Reason::Shutdown).profiles, 1, "d");
    assert!(harness.consumer(0).lease(&ANY).await.is_none());
}
