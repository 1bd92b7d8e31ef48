//! What every backend must do. A backend's tests call [`run`] with its constructor.

mod basics;
mod retries;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{
    Budget, Consumer, Head, Lease, Ledger, Limits, Payload, Producer, Record, SurfaceId, Wanted,
    WhenFull,
};

const ANY: [Wanted; 2] = Wanted::ANY;

/// What a backend's constructor returns: a producer for all targets, a consumer for each.
pub type Opened = (Arc<dyn Producer>, Vec<Arc<dyn Consumer>>);

/// Runs the suite; panics at the first promise that the backend breaks.
pub async fn run<F>(open: F)
where
    F: Fn(Vec<(Limits, Arc<Ledger>)>) -> Opened,
{
    basics::records_come_out_in_order(&open).await;
    basics::both_limits_hold_and_leased_records_count(&open).await;
    basics::drop_newest_refuses_and_drop_oldest_displaces(&open).await;
    basics::a_released_record_comes_again_in_its_place(&open).await;
    basics::targets_do_not_touch_each_other(&open).await;
    basics::a_closed_queue_is_drained_then_ends(&open).await;
    basics::an_abandoned_queue_counts_what_it_loses(&open).await;
    basics::the_budget_gets_everything_back(&open).await;
    retries::a_retried_record_comes_when_it_is_due_and_remembers(&open).await;
    retries::what_is_asked_for_first_comes_first(&open).await;
    retries::surfaces_are_leased_apart(&open).await;
    retries::what_is_too_old_is_lost_unless_it_is_leased(&open).await;
    retries::a_deferred_record_gives_way_and_is_drained(&open).await;
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
