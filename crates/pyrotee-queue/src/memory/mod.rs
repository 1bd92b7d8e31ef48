//! The backend that keeps records in memory only: they do not survive the process.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::{
    Consumer, Lease, LeaseEnd, LeaseFilter, LeaseFuture, LeasedEntry, OfferResult, OpenBackend,
    OpenQueue, Producer, Queue, QueueId, Reason, Receipt, Record, Registry, Settle, TakeResult,
    Tally, TargetQueue, lock, shed_oldest,
};

type RecordQueue = Queue<Arc<Record>>;

/// A queue in memory, for the backend that gives out its records.
#[derive(Debug)]
pub struct MemoryQueue {
    /// Identity of the queue.
    pub id: QueueId,
    /// The target in force. The ledger of the queue may be another one: see [`Queue::ledger`].
    pub target: TargetQueue,
    /// The queue.
    pub queue: Arc<Queue<Arc<Record>>>,
}

/// Makes the consumer of a queue.
type MakeConsumer = dyn Fn(MemoryQueue) -> Arc<dyn Consumer> + Send + Sync;

/// Opens the backend with one queue in memory for each of `targets`.
pub fn open(targets: impl IntoIterator<Item = TargetQueue>) -> OpenBackend {
    open_with(targets, |opened| consumer(opened.queue))
}

/// Opens the backend with one queue in memory for each of `targets`, and with consumers that `consumer` makes. It is
/// called for each target whenever a list of targets is put in force, for known queues as well.
pub fn open_with(
    targets: impl IntoIterator<Item = TargetQueue>,
    consumer: impl Fn(MemoryQueue) -> Arc<dyn Consumer> + Send + Sync + 'static,
) -> OpenBackend {
    let queues = Arc::new(MemoryQueues {
        all: Mutex::default(),
        in_force: ArcSwap::default(),
        consumer: Box::new(consumer),
    });
    let targets: Vec<_> = targets.into_iter().collect();
    OpenBackend {
        queues: queues.put_in_force(&targets),
        producer: Arc::new(MemoryProducer(Arc::clone(&queues))),
        registry: queues,
    }
}

/// The queues of all targets that are or were in the list.
struct MemoryQueues {
    all: Mutex<AllQueues>,
    /// The queues of the list, for offers, which take no lock.
    in_force: ArcSwap<QueueList>,
    consumer: Box<MakeConsumer>,
}

impl fmt::Debug for MemoryQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueues")
            .field("in_force", &self.in_force)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct AllQueues {
    ids: BTreeMap<String, QueueId>,
    /// By their [`QueueId`].
    queues: Vec<Arc<RecordQueue>>,
    /// The producer is gone.
    is_closed: bool,
}

/// The queues that records are offered to.
#[derive(Debug, Default)]
struct QueueList {
    /// In ascending order.
    ids: Vec<QueueId>,
    /// In the order of `ids`.
    queues: Vec<Arc<RecordQueue>>,
}

impl AllQueues {
    /// The queue of a target: that of its name, open again, or a new one.
    fn open(&mut self, target: &TargetQueue) -> (QueueId, Arc<RecordQueue>) {
        let next = QueueId(self.queues.len());
        let id = *self.ids.entry(target.name.clone()).or_insert(next);
        let queue = self.queues.get(id.0).cloned().unwrap_or_else(|| {
            let queue = Queue::new(target.limits, Arc::clone(&target.ledger));
            let queue = Arc::new(queue);
            self.queues.push(Arc::clone(&queue));
            queue
        });
        queue.reopen(target.limits);
        if self.is_closed {
            queue.close(Reason::Shutdown);
        }
        (id, queue)
    }

    /// The queues of the targets that are not in the list.
    fn removed(&self, in_force: &QueueList) -> Vec<Arc<RecordQueue>> {
        let all = self.queues.iter().enumerate();
        let removed = all.filter(|(id, _)| in_force.ids.binary_search(&QueueId(*id)).is_err());
        removed.map(|(_, queue)| Arc::clone(queue)).collect()
    }
}

impl Registry for MemoryQueues {
    fn put_in_force(&self, targets: &[TargetQueue]) -> Vec<OpenQueue> {
        let mut all = lock(&self.all);
        let opened: Vec<_> = targets.iter().map(|target| all.open(target)).collect();
        let by_id: BTreeMap<_, _> = opened.iter().cloned().collect();
        let (ids, queues) = by_id.into_iter().unzip();
        self.in_force.store(Arc::new(QueueList { ids, queues }));
        // Only now: an offer with the new list must find its queues open, one with the old list may not add to a queue
        // that has ended.
        for queue in all.removed(&self.in_force.load()) {
            queue.close(Reason::TargetRemoved);
        }
        let open = opened.into_iter().zip(targets);
        let open = open.map(|((id, queue), target)| OpenQueue {
            id,
            ledger: Arc::clone(queue.ledger()),
            consumer: (self.consumer)(MemoryQueue {
                id,
                target: target.clone(),
                queue,
            }),
        });
        open.collect()
    }

    fn end_draining(&self, queue: QueueId) {
        let all = lock(&self.all);
        let is_removed = self.in_force.load().ids.binary_search(&queue).is_err();
        if let Some(queue) = all.queues.get(queue.0).filter(|_| is_removed) {
            queue.abandon(Reason::TargetRemoved);
        }
    }

    fn shed_removed(&self, bytes: u64) {
        let removed = lock(&self.all).removed(&self.in_force.load());
        shed_oldest(&removed, bytes, Reason::TargetRemoved);
    }
}

#[derive(Debug)]
struct MemoryProducer(Arc<MemoryQueues>);

impl Producer for MemoryProducer {
    fn offer(&self, record: &Arc<Record>) -> OfferResult {
        offer_each(&self.0.in_force.load().queues, record)
    }

    fn offer_to_target(&self, target: QueueId, record: &Arc<Record>) -> OfferResult {
        let list = self.0.in_force.load();
        let queue = list.ids.binary_search(&target).ok();
        let queue = queue.and_then(|index| list.queues.get(index));
        offer_each(queue.map(std::slice::from_ref).unwrap_or_default(), record)
    }

    fn refuse(&self, bytes: u64, reason: Reason) {
        for queue in &self.0.in_force.load().queues {
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
        let mut all = lock(&self.0.all);
        all.is_closed = true;
        for queue in &all.queues {
            queue.close(Reason::Shutdown);
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
                    TakeResult::Leased(leased) => return Some(lease(&self.0, leased)),
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

/// Gives out the records of a queue that is not shared.
pub fn consumer(queue: Arc<Queue<Arc<Record>>>) -> Arc<dyn Consumer> {
    Arc::new(MemoryConsumer(queue))
}

/// The lease of a record that was taken out of `queue`.
pub fn lease(queue: &Arc<Queue<Arc<Record>>>, leased: LeasedEntry<Arc<Record>>) -> Lease {
    let record = Arc::clone(leased.record());
    let (lane, history) = (leased.lane(), leased.history());
    let (evicted, birth) = (leased.is_evicted(), queue.birth(&leased));
    let settle = MemoryLease {
        queue: Arc::clone(queue),
        leased,
    };
    let lease = Lease::new(record, lane, history, Box::new(settle));
    lease.with_evicted(evicted).with_birth(birth)
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
