//! The backend that keeps records in memory only: they do not survive the process.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use crate::{
    Consumer, Lease, LeaseEnd, LeaseFilter, LeaseFuture, LeasedEntry, Ledger, Limits, OfferResult,
    Producer, Queue, Reason, Receipt, Record, Settle, TakeResult, Tally,
};

type RecordQueue = Queue<Arc<Record>>;

/// Opens one in-memory queue per target. Returns a producer for all targets and one consumer per target, in
/// the order of `targets`.
pub fn open(
    targets: impl IntoIterator<Item = (Limits, Arc<Ledger>)>,
) -> (Arc<dyn Producer>, Vec<Arc<dyn Consumer>>) {
    let queues: Vec<_> = targets
        .into_iter()
        .map(|(limits, ledger)| Arc::new(Queue::new(limits, ledger)))
        .collect();
    let consumer = |queue: &Arc<RecordQueue>| Arc::new(MemoryConsumer(Arc::clone(queue))) as _;
    let consumers = queues.iter().map(consumer).collect();
    (Arc::new(MemoryProducer { queues }), consumers)
}

#[derive(Debug)]
struct MemoryProducer {
    queues: Vec<Arc<RecordQueue>>,
}

impl Producer for MemoryProducer {
    fn offer(&self, record: &Arc<Record>) -> OfferResult {
        offer_each(&self.queues, record)
    }

    fn offer_to_target(&self, target: usize, record: &Arc<Record>) -> OfferResult {
        let queue = self.queues.get(target).map(std::slice::from_ref);
        offer_each(queue.unwrap_or_default(), record)
    }

    fn refuse(&self, bytes: u64, reason: Reason) {
        for queue in &self.queues {
            queue.ledger().refuse(bytes, reason);
        }
    }
}

fn offer_each(queues: &[Arc<RecordQueue>], record: &Arc<Record>) -> OfferResult {
    let queued = queues.iter().filter(|queue| queue.push(Arc::clone(record)));
    let queued = queued.count();
    let refused = queues.len() - queued;
    let oversized = || !queues.iter().any(|queue| queue.can_hold(record.len()));
    OfferResult {
        queued,
        refused,
        oversized: queued == 0 && refused > 0 && oversized(),
        receipt: Receipt::immediate(),
    }
}

impl Drop for MemoryProducer {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.close();
        }
    }
}

#[derive(Debug)]
struct MemoryConsumer(Arc<RecordQueue>);

impl Consumer for MemoryConsumer {
    fn lease<'a>(&'a self, filters: &'a [LeaseFilter]) -> LeaseFuture<'a> {
        Box::pin(async move {
            loop {
                // `Queue` keeps a permit for a change between the two calls, so no change is missed.
                match self.0.take(filters, 0) {
                    TakeResult::Leased(leased) => return Some(self.lease_of(leased)),
                    TakeResult::Finished => return None,
                    TakeResult::NoMatch { next_due } => self.0.changed(next_due).await,
                }
            }
        })
    }

    fn fall_behind(&self) {
        self.0.fall_behind();
    }

    fn expire(&self, received_before: SystemTime) {
        self.0.expire(received_before);
    }

    fn abandon(&self, reason: Reason) {
        self.0.abandon(reason);
    }

    fn purge(&self) -> Tally {
        self.0.purge()
    }

    fn oldest(&self) -> Option<SystemTime> {
        self.0.oldest()
    }
}

impl MemoryConsumer {
    fn lease_of(&self, leased: LeasedEntry<Arc<Record>>) -> Lease {
        let record = Arc::clone(leased.record());
        let (lane, history) = (leased.lane(), leased.history());
        let (evicted, birth) = (leased.is_evicted(), self.0.birth(&leased));
        let settle = MemoryLease {
            queue: Arc::clone(&self.0),
            leased,
        };
        let lease = Lease::new(record, lane, history, Box::new(settle));
        lease.with_evicted(evicted).with_birth(birth)
    }
}

struct MemoryLease {
    queue: Arc<RecordQueue>,
    leased: LeasedEntry<Arc<Record>>,
}

impl Settle for MemoryLease {
    fn settle(self: Box<Self>, end: LeaseEnd) {
        self.queue.settle(self.leased, end);
    }
}
