//! What every backend must do. A backend's tests call [`run`] with its constructor, or [`run_on_disk`].

mod lanes;
mod limits;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{
    Budget, Consumer, Head, Lease, Ledger, Limits, Payload, Producer, Reason, Record, SurfaceId,
    Tally, Wanted, WhenFull,
};

const ANY: [Wanted; 2] = Wanted::ANY;

/// What a backend's constructor returns: a producer for all targets, a consumer for each.
pub type Opened = (Arc<dyn Producer>, Vec<Arc<dyn Consumer>>);

/// Runs the suite for a backend that keeps what is pending in memory; panics at the first promise
/// that the backend breaks.
pub async fn run<F>(open: F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    run_everywhere(&open).await;
    limits::both_limits_hold_and_leased_records_count(&open).await;
    limits::drop_newest_refuses_and_drop_oldest_displaces(&open).await;
    limits::a_full_queue_refuses_alone(&open).await;
    limits::a_deferred_record_gives_way_and_is_drained(&open).await;
    an_abandoned_queue_counts_what_it_loses(&open, Reason::Shutdown).await;
}

/// Runs the suite for a backend that outlives the process: its limits bound only what it holds in
/// memory, and a shutdown loses nothing.
pub async fn run_on_disk<F>(open: F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    run_everywhere(&open).await;
    limits::what_lies_on_disk_does_not_count(&open).await;
    an_abandoned_queue_counts_what_it_loses(&open, Reason::Admin).await;
    what_is_pending_at_shutdown_stays_pending(&open).await;
}

async fn run_everywhere<F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened>(open: &F) {
    records_come_out_in_order(open).await;
    a_released_record_comes_again_in_its_place(open).await;
    targets_do_not_touch_each_other(open).await;
    a_closed_queue_is_drained_then_ends(open).await;
    the_budget_gets_everything_back(open).await;
    limits::a_purge_loses_what_waits_and_nothing_else(open).await;
    an_offer_to_one_target_is_none_to_the_others(open).await;
    lanes::a_retried_record_comes_when_it_is_due_and_remembers(open).await;
    lanes::what_is_asked_for_first_comes_first(open).await;
    lanes::surfaces_are_leased_apart(open).await;
    lanes::what_is_too_old_is_lost_unless_it_is_leased(open).await;
}

struct Bench {
    producer: Arc<dyn Producer>,
    consumers: Vec<Arc<dyn Consumer>>,
    ledgers: Vec<Arc<Ledger>>,
    budget: Arc<Budget>,
}

impl Bench {
    fn new<F>(open: &F, limits: &[Limits]) -> Self
    where
        F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
    {
        let ledgers: Vec<_> = limits.iter().map(|_| Arc::new(Ledger::default())).collect();
        let targets = limits
            .iter()
            .copied()
            .zip(ledgers.iter().cloned())
            .collect();
        let (producer, consumers) = open(targets);
        Self {
            producer,
            consumers,
            ledgers,
            budget: Budget::new(1 << 20),
        }
    }

    /// A record of `bytes`, told apart by its query.
    fn record(&self, surface: u8, query: &str, bytes: usize) -> Arc<Record> {
        let head = Head {
            surface: SurfaceId(surface),
            query: query.into(),
            content_type: None,
            content_encoding: None,
            hops: 0,
            received: SystemTime::UNIX_EPOCH + Duration::from_secs(bytes as u64),
        };
        let reservation = self
            .budget
            .reserve(bytes as u64)
            .expect("the budget suffices");
        Record::new(head, Payload::from(vec![0; bytes]), reservation)
    }

    /// Offers a record of `bytes`; how many targets took it.
    async fn offer(&self, query: &str, bytes: usize) -> usize {
        self.offer_by(1, query, bytes).await
    }

    async fn offer_by(&self, surface: u8, query: &str, bytes: usize) -> usize {
        let offered = self.producer.offer(&self.record(surface, query, bytes));
        assert_eq!(offered.taken + offered.refused, self.consumers.len());
        if offered.taken > 0 {
            assert!(
                offered.receipt.durable().await,
                "the receipt of a taken record resolves"
            );
        }
        self.check_balance();
        offered.taken
    }

    async fn lease(&self, target: usize) -> Lease {
        self.lease_of(target, &ANY).await
    }

    async fn lease_of(&self, target: usize, wanted: &[Wanted]) -> Lease {
        let lease = self.consumer(target).lease(wanted);
        let lease = tokio::time::timeout(Duration::from_secs(5), lease).await;
        lease
            .expect("a record is ready")
            .expect("the queue has not ended")
    }

    /// Whether nothing of what is wanted comes in a moment.
    async fn is_waiting(&self, wanted: &[Wanted]) -> bool {
        let lease = self.consumer(0).lease(wanted);
        tokio::time::timeout(MOMENT, lease).await.is_err()
    }

    fn consumer(&self, target: usize) -> &Arc<dyn Consumer> {
        self.consumers.get(target).expect("there is such a target")
    }

    fn counts(&self, target: usize) -> crate::Counts {
        self.ledgers
            .get(target)
            .expect("there is such a target")
            .snapshot()
    }

    fn check_balance(&self) {
        for target in 0..self.ledgers.len() {
            assert!(self.counts(target).balance(), "{:?}", self.counts(target));
        }
    }
}

/// Long enough to see that nothing comes, short enough to wait for it.
const MOMENT: Duration = Duration::from_millis(20);

fn query(lease: &Lease) -> &str {
    &lease.record().head().query
}

fn limits(records: usize, bytes: u64, when_full: WhenFull) -> Limits {
    Limits {
        records,
        bytes,
        when_full,
    }
}

const ROOMY: Limits = Limits {
    records: 100,
    bytes: 10_000,
    when_full: WhenFull::DropNewest,
};

async fn records_come_out_in_order<F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened>(open: &F) {
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

async fn a_released_record_comes_again_in_its_place<F>(open: &F)
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

async fn targets_do_not_touch_each_other<F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened>(open: &F) {
    let bench = Bench::new(open, &[ROOMY, ROOMY]);
    assert_eq!(bench.offer("a", 10).await, 2);
    assert_eq!(bench.offer("b", 10).await, 2);
    bench.lease(1).await.ack();
    bench.lease(1).await.lose(Reason::UploadFailed);
    assert_eq!(bench.counts(0).pending.profiles, 2);
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

async fn an_offer_to_one_target_is_none_to_the_others<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[ROOMY, ROOMY, ROOMY]);
    assert_eq!(bench.offer("a", 10).await, 3);
    let alone = bench.producer.offer_to(1, &bench.record(1, "b", 20));
    assert_eq!((alone.taken, alone.refused), (1, 0));
    assert!(alone.receipt.durable().await);
    assert_eq!(bench.offer("c", 10).await, 3);
    for (target, names) in [
        (0, &["a", "c"][..]),
        (1, &["a", "b", "c"]),
        (2, &["a", "c"]),
    ] {
        for name in names {
            let lease = bench.lease(target).await;
            assert_eq!(query(&lease), *name, "target {target}");
            lease.ack();
        }
        let counts = bench.counts(target);
        assert_eq!(counts.accepted.profiles, names.len() as u64);
        assert_eq!(counts.accepted, counts.sent, "target {target}");
    }
    assert_eq!((bench.budget.recorded(), bench.budget.receiving()), (0, 0));
    let nobody = bench.producer.offer_to(3, &bench.record(1, "d", 20));
    assert_eq!((nobody.taken, nobody.refused), (0, 0));
    bench.check_balance();
}

async fn a_closed_queue_is_drained_then_ends<F>(open: &F)
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

async fn an_abandoned_queue_counts_what_it_loses<F>(open: &F, reason: Reason)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[ROOMY]);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(bench.offer(name, 10).await, 1);
    }
    let (sent, released) = (bench.lease(0).await, bench.lease(0).await);
    bench.consumer(0).abandon(reason);
    sent.ack();
    drop(released);
    assert_eq!(bench.offer("e", 10).await, 0);
    let counts = bench.counts(0);
    assert_eq!(counts.sent.profiles, 1);
    assert_eq!(
        counts.dropped(reason),
        Tally {
            profiles: 4,
            bytes: 40
        }
    );
    assert_eq!(counts.pending, Tally::default());
    assert!(bench.consumer(0).lease(&ANY).await.is_none());
}

async fn the_budget_gets_everything_back<F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened>(open: &F) {
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

async fn what_is_pending_at_shutdown_stays_pending<F>(open: &F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    let bench = Bench::new(open, &[ROOMY]);
    for name in ["a", "b", "c"] {
        assert_eq!(bench.offer(name, 10).await, 1);
    }
    let (sent, released) = (bench.lease(0).await, bench.lease(0).await);
    bench.consumer(0).abandon(Reason::Shutdown);
    sent.ack();
    drop(released);
    assert_eq!(bench.offer("d", 10).await, 0);
    let counts = bench.counts(0);
    assert_eq!(counts.sent.profiles, 1);
    assert_eq!(counts.pending.profiles, 2);
    assert_eq!(counts.dropped(Reason::Shutdown).profiles, 1, "d");
    assert!(bench.consumer(0).lease(&ANY).await.is_none());
}
