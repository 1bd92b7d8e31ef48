//! The queues of targets, and the list of the queues that records are offered to.

use std::ops::Deref;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use pyrotee_queue::{Ledger, Limits, Queue, QueueId, Reason, StepClock, TargetQueue, WhenFull};

use crate::spooled_record::RecordClaim;

/// The queue of a target, and which of its consumers may lease.
#[derive(Debug)]
pub(crate) struct SpoolQueue {
    pub(crate) queue: Arc<Queue<RecordClaim>>,
    /// A consumer leases as long as this number is the one that the consumer was made with.
    generation: AtomicU64,
    /// Whether consumers of this generation belong to a deliverer, which leases the records of the target.
    is_delivered: AtomicBool,
}

impl SpoolQueue {
    /// The queue of a target that joins.
    pub(crate) fn of(target: &TargetQueue, clock: StepClock) -> Self {
        let ledger = Arc::clone(&target.ledger);
        Self::new(Queue::with_clock(target.limits, ledger, clock), true)
    }

    /// The queue of a target that no list of this process has had. The queue is closed to new records.
    pub(crate) fn of_removed(clock: StepClock) -> Self {
        let limits = Limits {
            records: usize::MAX,
            bytes: u64::MAX,
            when_full: WhenFull::DropNewest,
        };
        let queue = Queue::with_clock(limits, Arc::<Ledger>::default(), clock);
        queue.close(Reason::TargetRemoved);
        Self::new(queue, false)
    }

    fn new(queue: Queue<RecordClaim>, is_delivered: bool) -> Self {
        Self {
            queue: Arc::new(queue),
            generation: AtomicU64::new(0),
            is_delivered: AtomicBool::new(is_delivered),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// Whether a deliverer leases the records: the target is in force, or is being drained.
    pub(crate) fn is_delivered(&self) -> bool {
        self.is_delivered.load(SeqCst)
    }

    /// Lets the target be delivered. If it was not, ends all consumers that were made before: a replay has one.
    pub(crate) fn begin_delivery(&self) {
        if !self.is_delivered.swap(true, SeqCst) {
            self.end_consumers();
        }
    }

    /// Ends all consumers that were made before. A consumer that is made afterwards is not that of a deliverer.
    pub(crate) fn end_delivery(&self) {
        self.is_delivered.store(false, SeqCst);
        self.end_consumers();
    }

    fn end_consumers(&self) {
        self.generation.fetch_add(1, SeqCst);
        // Wakes the consumer that waits, which then ends.
        self.queue.notify();
    }
}

/// The queues of all targets, by their index.
#[derive(Debug, Default, Clone)]
pub(crate) struct AllQueues(Vec<Arc<SpoolQueue>>);

impl AllQueues {
    pub(crate) fn push(&mut self, queue: Arc<SpoolQueue>) {
        self.0.push(queue);
    }
}

impl Deref for AllQueues {
    type Target = [Arc<SpoolQueue>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The queues that records are offered to.
#[derive(Debug, Default)]
pub(crate) struct InForce {
    /// With the index of each, in ascending order.
    queues: Vec<(usize, Arc<SpoolQueue>)>,
}

impl InForce {
    /// `queues`: each with its index, in any order.
    pub(crate) fn new(mut queues: Vec<(usize, Arc<SpoolQueue>)>) -> Self {
        queues.sort_by_key(|(index, _)| *index);
        queues.dedup_by_key(|(index, _)| *index);
        Self { queues }
    }

    pub(crate) fn queues(&self) -> &[(usize, Arc<SpoolQueue>)] {
        &self.queues
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        !self.select(Some(QueueId(index))).is_empty()
    }

    /// The queue of one target, if it is in the list; `None`: all queues.
    pub(crate) fn select(&self, target: Option<QueueId>) -> &[(usize, Arc<SpoolQueue>)] {
        let Some(QueueId(target)) = target else {
            return &self.queues;
        };
        let place = self
            .queues
            .binary_search_by_key(&target, |(index, _)| *index);
        let found = place.ok().and_then(|place| self.queues.get(place));
        found.map(slice::from_ref).unwrap_or_default()
    }
}
