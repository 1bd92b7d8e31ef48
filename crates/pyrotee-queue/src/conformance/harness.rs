//! An open backend, and shorthands for the tests of the suite.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Backend;
use crate::{
    Budget, Consumer, Counts, Head, Headers, Lease, LeaseFilter, Ledger, Limits, Payload, Producer,
    Record, SurfaceId, WhenFull,
};

/// The constructor of the backend under test, called with the limits and the ledger of each target.
pub(super) type OpenBackend<'a> = dyn Fn(Vec<(Limits, Arc<Ledger>)>) -> Backend + 'a;

pub(super) const ANY: [LeaseFilter; 3] = LeaseFilter::ANY;

/// Time without a lease after which a test concludes that no record is leased.
pub(super) const MOMENT: Duration = Duration::from_millis(20);

pub(super) const ROOMY: Limits = Limits {
    records: 100,
    bytes: 10_000,
    when_full: WhenFull::DropNewest,
};

/// An open backend, with the ledgers of its targets.
pub(super) struct Harness {
    pub(super) producer: Arc<dyn Producer>,
    pub(super) consumers: Vec<Arc<dyn Consumer>>,
    pub(super) ledgers: Vec<Arc<Ledger>>,
    pub(super) budget: Arc<Budget>,
}

impl Harness {
    pub(super) fn new(open: &OpenBackend<'_>, limits: &[Limits]) -> Self {
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

    /// A record with a body of `bytes`. Tests identify it by its query.
    pub(super) fn record(&self, surface: u8, query: &str, bytes: usize) -> Arc<Record> {
        let head = Head {
            surface: SurfaceId(surface),
            query: query.into(),
            content_type: None,
            content_encoding: None,
            headers: Headers::default(),
            hops: 0,
            received: SystemTime::UNIX_EPOCH + Duration::from_secs(bytes as u64),
        };
        let reservation = self
            .budget
            .reserve(bytes as u64)
            .expect("the budget suffices");
        Record::new(head, Payload::from(vec![0; bytes]), reservation)
    }

    /// Offers a record with a body of `bytes`, and returns how many targets queued it.
    pub(super) async fn offer(&self, query: &str, bytes: usize) -> usize {
        self.offer_by(1, query, bytes).await
    }

    pub(super) async fn offer_by(&self, surface: u8, query: &str, bytes: usize) -> usize {
        let offered = self.producer.offer(&self.record(surface, query, bytes));
        assert_eq!(offered.queued + offered.refused, self.consumers.len());
        if offered.queued > 0 {
            assert!(
                offered.receipt.durable().await,
                "the receipt of a taken record resolves"
            );
        }
        self.check_balance();
        offered.queued
    }

    pub(super) async fn lease(&self, target: usize) -> Lease {
        self.lease_of(target, &ANY).await
    }

    pub(super) async fn lease_of(&self, target: usize, filters: &[LeaseFilter]) -> Lease {
        let lease = self.consumer(target).lease(filters);
        let lease = tokio::time::timeout(Duration::from_secs(5), lease).await;
        lease
            .expect("a record is ready")
            .expect("the queue has not ended")
    }

    /// Whether no record that passes `filters` is leased within [`MOMENT`].
    pub(super) async fn is_waiting(&self, filters: &[LeaseFilter]) -> bool {
        let lease = self.consumer(0).lease(filters);
        tokio::time::timeout(MOMENT, lease).await.is_err()
    }

    pub(super) fn consumer(&self, target: usize) -> &Arc<dyn Consumer> {
        self.consumers.get(target).expect("there is such a target")
    }

    pub(super) fn counts(&self, target: usize) -> Counts {
        self.ledgers
            .get(target)
            .expect("there is such a target")
            .snapshot()
    }

    pub(super) fn check_balance(&self) {
        for target in 0..self.ledgers.len() {
            assert!(self.counts(target).balance(), "{:?}", self.counts(target));
        }
    }
}

pub(super) fn query(lease: &Lease) -> &str {
    &lease.record().head().query
}

pub(super) fn limits(records: usize, bytes: u64, when_full: WhenFull) -> Limits {
    Limits {
        records,
        bytes,
        when_full,
    }
}
