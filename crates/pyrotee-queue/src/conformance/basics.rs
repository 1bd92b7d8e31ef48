//! Order, limits, loss, and the end of a queue.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{ANY, Bench, Opened, ROOMY, limits, query};
use crate::{Ledger, Limits, Reason, Tally, WhenFull};

pub(super) async fn records_come_out_in_order<F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened>(
    open: &F,
) {
    let bench = Bench::new(open, &[ROOMY]);
    for name in ["a", "b", "c"] {
        assert_eq!(bench.offer(name, 10).await, 1);
    }
    for name in ["a", "b", "c"] {
        let lease = bench.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    assert_eq!(
        bench.counts(0).sent,
        Tally {
            profiles: 3,
            bytes: 30
        }
    );
    assert_eq!(bench.counts(0).pending, Tally::default());
}

pub(super) async fn both_limits_hold_and_leased_records_count<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[limits(2, 1_000, WhenFull::DropNewest)]);
    assert_eq!(bench.offer("a", 1).await, 1);
    let lease = bench.lease(0).await;
    assert_eq!(bench.offer("b", 1).await, 1);
    assert_eq!(
        bench.offer("c", 1).await,
        0,
        "a leased record holds its place"
    );
    lease.ack();
    assert_eq!(bench.offer("d", 1).await, 1);

    let bench = Bench::new(open, &[limits(100, 30, WhenFull::DropNewest)]);
    assert_eq!(bench.offer("a", 20).await, 1);
    assert_eq!(bench.offer("b", 11).await, 0, "31 bytes are too many");
    assert_eq!(bench.offer("c", 10).await, 1);
    assert_eq!(
        bench.counts(0).dropped(Reason::QueueFull),
        Tally {
            profiles: 1,
            bytes: 11
        }
    );
    assert_eq!(
        bench.counts(0).refused,
        Tally {
            profiles: 1,
            bytes: 11
        }
    );
}

pub(super) async fn drop_newest_refuses_and_drop_oldest_displaces<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[limits(3, 30, WhenFull::DropOldest)]);
    for name in ["a", "b", "c"] {
        assert_eq!(bench.offer(name, 10).await, 1);
    }
    let in_flight = bench.lease(0).await;
    assert_eq!(
        bench.offer("d", 20).await,
        1,
        "b and c make room, a is in flight"
    );
    assert_eq!(
        bench.counts(0).dropped(Reason::QueueFull),
        Tally {
            profiles: 2,
            bytes: 20
        }
    );
    assert_eq!(
        bench.offer("e", 31).await,
        0,
        "nothing is displaced for what never fits"
    );
    assert_eq!(
        bench.counts(0).pending,
        Tally {
            profiles: 2,
            bytes: 30
        }
    );
    in_flight.ack();
    let lease = bench.lease(0).await;
    assert_eq!(query(&lease), "d");
    lease.ack();
    bench.check_balance();
}

pub(super) async fn a_released_record_comes_again_in_its_place<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[ROOMY]);
    for name in ["a", "b", "c"] {
        assert_eq!(bench.offer(name, 10).await, 1);
    }
    let (a, b) = (bench.lease(0).await, bench.lease(0).await);
    drop(b);
    drop(a);
    for name in ["a", "b", "c"] {
        let lease = bench.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    bench.check_balance();
}

pub(super) async fn targets_do_not_touch_each_other<F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened>(
    open: &F,
) {
    let bench = Bench::new(open, &[limits(1, 1_000, WhenFull::DropNewest), ROOMY]);
    assert_eq!(bench.offer("a", 10).await, 2);
    assert_eq!(
        bench.offer("b", 10).await,
        1,
        "the full queue refuses, the other takes"
    );
    bench.lease(1).await.ack();
    bench.lease(1).await.lose(Reason::UploadFailed);
    assert_eq!(bench.counts(0).pending.profiles, 1);
    assert_eq!(bench.counts(1).pending.profiles, 0);
    assert_eq!(
        bench.counts(1).dropped(Reason::UploadFailed),
        Tally {
            profiles: 1,
            bytes: 10
        }
    );
    bench.producer.refuse(77, Reason::TooLarge);
    for target in 0..2 {
        let lost = bench.counts(target).dropped(Reason::TooLarge);
        assert_eq!(
            lost,
            Tally {
                profiles: 1,
                bytes: 77
            }
        );
    }
    bench.check_balance();
}

pub(super) async fn a_closed_queue_is_drained_then_ends<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let Bench {
        producer,
        consumers,
        ledgers,
        budget,
    } = Bench::new(open, &[ROOMY]);
    let bench = Bench {
        producer,
        consumers,
        ledgers,
        budget,
    };
    assert_eq!(bench.offer("a", 10).await, 1);
    assert_eq!(
        bench.consumer(0).oldest(),
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(10))
    );
    let consumer = Arc::clone(bench.consumer(0));
    let ledger = bench.ledgers.first().cloned().expect("one target");
    let lease = bench.lease(0).await;
    drop(bench);
    drop(lease);
    let lease = consumer
        .lease(&ANY)
        .await
        .expect("a released record is delivered after the close");
    lease.ack();
    assert!(consumer.lease(&ANY).await.is_none());
    assert!(consumer.lease(&ANY).await.is_none(), "and stays ended");
    assert_eq!(ledger.snapshot().sent.profiles, 1);
    assert_eq!(consumer.oldest(), None);
}

pub(super) async fn an_abandoned_queue_counts_what_it_loses<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[ROOMY]);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(bench.offer(name, 10).await, 1);
    }
    let (sent, released) = (bench.lease(0).await, bench.lease(0).await);
    bench.consumer(0).abandon(Reason::Shutdown);
    sent.ack();
    drop(released);
    assert_eq!(bench.offer("e", 10).await, 0);
    let counts = bench.counts(0);
    assert_eq!(counts.sent.profiles, 1);
    assert_eq!(
        counts.dropped(Reason::Shutdown),
        Tally {
            profiles: 4,
            bytes: 40
        }
    );
    assert_eq!(counts.pending, Tally::default());
    assert!(bench.consumer(0).lease(&ANY).await.is_none());
}

pub(super) async fn the_budget_gets_everything_back<F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened>(
    open: &F,
) {
    let bench = Bench::new(open, &[ROOMY, limits(1, 1_000, WhenFull::DropOldest)]);
    for name in ["a", "b", "c"] {
        assert!(bench.offer(name, 10).await > 0);
    }
    bench.lease(0).await.ack();
    bench.lease(0).await.lose(Reason::Rejected);
    bench.lease(0).await.ack();
    bench.lease(1).await.ack();
    assert_eq!((bench.budget.recorded(), bench.budget.receiving()), (0, 0));
    bench.check_balance();
}
