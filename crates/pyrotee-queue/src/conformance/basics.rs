//! Conformance tests: order, independence of targets, and the budget.

use super::harness::{Harness, Open, ROOMY, limits, query};
use crate::{QueueId, Reason, Tally, WhenFull};

pub(super) async fn records_come_out_in_order(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY]);
    for name in ["a", "b", "c"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    for name in ["a", "b", "c"] {
        let lease = harness.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    assert_eq!(
        harness.counts(0).sent,
        Tally {
            profiles: 3,
            bytes: 30
        }
    );
    assert_eq!(harness.counts(0).pending, Tally::default());
}

pub(super) async fn a_released_record_comes_again_in_its_place(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY]);
    for name in ["a", "b", "c"] {
        assert_eq!(harness.offer(name, 10).await, 1);
    }
    let (a, b) = (harness.lease(0).await, harness.lease(0).await);
    drop(b);
    drop(a);
    for name in ["a", "b", "c"] {
        let lease = harness.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    harness.check_balance();
}

pub(super) async fn targets_do_not_touch_each_other(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY, ROOMY]);
    assert_eq!(harness.offer("a", 10).await, 2);
    assert_eq!(harness.offer("b", 10).await, 2);
    harness.lease(1).await.ack();
    harness.lease(1).await.lose(Reason::UploadFailed);
    assert_eq!(harness.counts(0).pending.profiles, 2);
    assert_eq!(harness.counts(1).pending.profiles, 0);
    assert_eq!(
        harness.counts(1).dropped(Reason::UploadFailed),
        Tally {
            profiles: 1,
            bytes: 10
        }
    );
    harness.producer.refuse(77, Reason::TooLarge);
    for target in 0..2 {
        let lost = harness.counts(target).dropped(Reason::TooLarge);
        assert_eq!(
            lost,
            Tally {
                profiles: 1,
                bytes: 77
            }
        );
    }
    harness.check_balance();
}

pub(super) async fn an_offer_to_one_target_is_none_to_the_others(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY, ROOMY, ROOMY]);
    assert_eq!(harness.offer("a", 10).await, 3);
    let alone = harness
        .producer
        .offer_to_target(harness.id(1), &harness.record(1, "b", 20));
    assert_eq!((alone.queued, alone.refused), (1, 0));
    assert!(alone.receipt.durable().await);
    assert_eq!(harness.offer("c", 10).await, 3);
    for (target, names) in [
        (0, &["a", "c"][..]),
        (1, &["a", "b", "c"]),
        (2, &["a", "c"]),
    ] {
        for name in names {
            let lease = harness.lease(target).await;
            assert_eq!(query(&lease), *name, "target {target}");
            lease.ack();
        }
        let counts = harness.counts(target);
        assert_eq!(counts.accepted.profiles, names.len() as u64);
        assert_eq!(counts.accepted, counts.sent, "target {target}");
    }
    assert_eq!(
        (harness.budget.recorded(), harness.budget.receiving()),
        (0, 0)
    );
    let nobody = harness
        .producer
        .offer_to_target(QueueId(3), &harness.record(1, "d", 20));
    assert_eq!((nobody.queued, nobody.refused), (0, 0));
    harness.check_balance();
}

pub(super) async fn the_budget_gets_everything_back(open: &Open<'_>) {
    let harness = Harness::new(open, &[ROOMY, limits(1, 1_000, WhenFull::DropOldest)]);
    for name in ["a", "b", "c"] {
        assert!(harness.offer(name, 10).await > 0);
    }
    harness.lease(0).await.ack();
    harness.lease(0).await.lose(Reason::Rejected);
    harness.lease(0).await.ack();
    harness.lease(1).await.ack();
    assert_eq!(
        (harness.budget.recorded(), harness.budget.receiving()),
        (0, 0)
    );
    harness.check_balance();
}
