//! An open backend, and shorthands for the tests of the suite.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{
    Budget, Consumer, Counts, Head, Headers, Lease, LeaseFilter, Ledger, Limits, OpenBackend,
    OpenQueue, Payload, Producer, QueueId, Record, Registry, SurfaceId, TargetQueue, WhenFull,
};

/// The constructor of the backend under test, called with the first list of targets.
pub(super) type Open<'a> = dyn Fn(Vec<TargetQueue>) -> OpenBackend + 'a;

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
    pub(super) registry: Arc<dyn Registry>,
    /// The targets of all lists, in the order in which they came.
    pub(super) targets: Vec<TargetQueue>,
    /// The queues of `targets`.
    queues: Vec<OpenQueue>,
    /// How many targets are in the list.
    in_force: usize,
    pub(super) budget: Arc<Budget>,
}

impl Harness {
    /// With a target for each of `limits`, named by its index.
    pub(super) fn new(open: &Open<'_>, limits: &[Limits]) -> Self {
        let target = |(index, limits): (usize, &Limits)| TargetQueue {
            name: index.to_string(),
            limits: *limits,
            ledger: Arc::new(Ledger::default()),
            sharing: None,
        };
        let targets: Vec<_> = limits.iter().enumerate().map(target).collect();
        let backend = open(targets.clone());
        Self {
            producer: backend.producer,
            registry: backend.registry,
            in_force: targets.len(),
            targets,
            queues: backend.queues,
            budget: Budget::new(1 << 20),
        }
    }

    /// Puts the targets with these indices in force, new ones included.
    pub(super) fn put_in_force(&mut self, indices: &[usize]) {
        while self.targets.len() <= indices.iter().copied().max().unwrap_or(0) {
            self.targets.push(TargetQueue {
                name: self.targets.len().to_string(),
                limits: ROOMY,
                ledger: Arc::new(Ledger::default()),
                sharing: None,
            });
        }
        let target = |index: &usize| self.targets.get(*index).cloned();
        let targets: Vec<_> = indices.iter().filter_map(target).collect();
        let opened = self.registry.put_in_force(&targets);
        assert_eq!(opened.len(), targets.len());
        self.in_force = targets.len();
        for (index, queue) in indices.iter().zip(opened) {
            match self.queues.get_mut(*index) {
                Some(known) => {
                    assert_eq!(known.id, queue.id, "a name keeps its queue");
                    *known = queue;
                }
                None => self.queues.push(queue),
            }
        }
    }

    pub(super) fn id(&self, target: usize) -> QueueId {
        self.queues.get(target).expect("there is such a target").id
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
            captor_tags: None,
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
        assert_eq!(offered.queued + offered.refused, self.in_force);
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
        &self
            .queues
            .get(target)
            .expect("there is such a target")
            .consumer
    }

    pub(super) fn counts(&self, target: usize) -> Counts {
        let target = self.targets.get(target).expect("there is such a target");
        target.ledger.snapshot()
    }

    pub(super) fn check_balance(&self) {
        for target in 0..self.targets.len() {
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
