//! Lanes, surfaces, deferral and age.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{ANY, Bench, MOMENT, Opened, ROOMY, query};
use crate::{History, Lane, Ledger, Limits, Reason, SurfaceId, Surfaces, Tally, Wanted};

pub(super) async fn a_retried_record_comes_when_it_is_due_and_remembers<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[ROOMY]);
    for name in ["a", "b"] {
        assert_eq!(bench.offer(name, 10).await, 1);
    }
    let a = bench.lease(0).await;
    assert_eq!(a.history(), History::default());
    let history = History {
        failures: 3,
        unexplained: 2,
        ambiguous: 4,
        alone: 1,
        taken: 7,
    };
    let due = Instant::now() + 5 * MOMENT;
    a.retry(due, history);
    assert_eq!(
        bench.counts(0).pending.profiles,
        2,
        "a deferred record counts"
    );
    let b = bench.lease(0).await;
    assert_eq!(query(&b), "b");
    assert!(bench.is_waiting(&ANY).await);
    let early = ANY.map(|wanted| Wanted {
        early: true,
        ..wanted
    });
    let a = bench.lease_of(0, &early).await;
    assert_eq!((query(&a), a.history()), ("a", history));
    a.retry(due, history);
    let a = bench.lease(0).await;
    assert!(Instant::now() >= due);
    assert_eq!((query(&a), a.history()), ("a", history));
    // A release is no try.
    drop(a);
    let a = bench.lease(0).await;
    assert_eq!((query(&a), a.history()), ("a", history));
    a.ack();
    b.ack();
    bench.check_balance();
}

pub(super) async fn what_is_asked_for_first_comes_first<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[ROOMY]);
    for name in ["a", "b"] {
        assert_eq!(bench.offer(name, 10).await, 1);
    }
    bench.consumer(0).fall_behind();
    let [fresh, backlog] = ANY;
    assert!(bench.is_waiting(&[fresh]).await);
    assert!(bench.is_waiting(&[]).await);
    assert_eq!(bench.offer("c", 10).await, 1);
    for (wanted, name, lane) in [
        ([fresh, backlog], "c", Lane::Fresh),
        ([fresh, backlog], "a", Lane::Backlog),
        ([backlog, fresh], "b", Lane::Backlog),
    ] {
        let lease = bench.lease_of(0, &wanted).await;
        assert_eq!((query(&lease), lease.lane()), (name, lane));
        lease.ack();
    }
    bench.check_balance();
}

pub(super) async fn surfaces_are_leased_apart<F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened>(
    open: &F,
) {
    let bench = Bench::new(open, &[ROOMY]);
    for (surface, name) in [(1, "a"), (2, "b"), (200, "c")] {
        assert_eq!(bench.offer_by(surface, name, 10).await, 1);
    }
    let of = |surfaces| Wanted { surfaces, ..ANY[0] };
    let none = Surfaces::NONE;
    assert!(
        bench
            .is_waiting(&[of(none), of(none.with(SurfaceId(3)))])
            .await
    );
    let lease = bench
        .lease_of(0, &[of(Surfaces::ALL.without(SurfaceId(1)))])
        .await;
    assert_eq!(query(&lease), "b");
    drop(lease);
    for (surface, name) in [(1, "a"), (200, "c"), (2, "b")] {
        let lease = bench
            .lease_of(0, &[of(none.with(SurfaceId(surface)))])
            .await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    bench.check_balance();
}

pub(super) async fn what_is_too_old_is_lost_unless_it_is_leased<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[ROOMY]);
    // A record of n bytes was received n seconds after the epoch.
    for (name, bytes) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
        assert_eq!(bench.offer(name, bytes).await, 1);
    }
    let a = bench.lease(0).await;
    let b = bench.lease(0).await;
    b.retry(
        Instant::now() + Duration::from_secs(3_600),
        History::default(),
    );
    let limit = SystemTime::UNIX_EPOCH + Duration::from_secs(30);
    bench.consumer(0).expire(limit);
    assert_eq!(
        bench.counts(0).dropped(Reason::Expired),
        Tally {
            profiles: 1,
            bytes: 20
        }
    );
    a.ack();
    for name in ["c", "d"] {
        let lease = bench.lease(0).await;
        assert_eq!(query(&lease), name);
        lease.ack();
    }
    assert_eq!(bench.counts(0).pending, Tally::default());
    bench.check_balance();
}
