//! The side of a backend that changes which targets records are offered to.

use std::fmt;
use std::sync::Arc;

use crate::{Consumer, Ledger, Limits, Producer, Sharing};

/// Identity of a target's queue: one for each name of a target, for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub usize);

/// A target that records are to be offered to.
#[derive(Debug, Clone)]
pub struct TargetQueue {
    /// Identity of the target.
    pub name: String,
    /// Limits of the target's queue.
    pub limits: Limits,
    /// Account of the target if the name has no queue yet. A name that has a queue keeps the account of that queue.
    pub ledger: Arc<Ledger>,
    /// How the target's backlog is shared with other relays. `None`: it is not. Only a backend that shares reads it.
    pub sharing: Option<Sharing>,
}

/// The queue of a target that records are offered to.
#[derive(Debug, Clone)]
pub struct OpenQueue {
    /// Identity of the queue.
    pub id: QueueId,
    /// Account of the target: the one that the first list with this name gave, or that of the records that an earlier
    /// process left for the target.
    pub ledger: Arc<Ledger>,
    /// Gives out the records of the queue.
    pub consumer: Arc<dyn Consumer>,
}

/// Changes the list of targets of a running backend. Queues are never deleted: a target that comes back under its name
/// gets the queue that it had.
pub trait Registry: fmt::Debug + Send + Sync {
    /// Replaces the list of targets in one step: an offer reaches the queues of the old list or those of the new list.
    /// Returns the queues in the order of `targets`.
    ///
    /// A new name gets an empty queue. A known name gets its queue with the new limits, open if it was removed. The queue
    /// of a name that is left out takes no more records once this returns; its pending records are still leased. An offer
    /// that still has the old list is refused there, as [`Reason::TargetRemoved`](crate::Reason::TargetRemoved).
    ///
    /// After the producer is dropped, all queues are closed and stay closed.
    fn put_in_force(&self, targets: &[TargetQueue]) -> Vec<OpenQueue>;

    /// Ends the delivery of a removed target. A backend in memory drops the pending records as
    /// [`Reason::TargetRemoved`](crate::Reason::TargetRemoved); a backend on disk keeps them. Has no effect on a target of
    /// the list.
    fn end_draining(&self, queue: QueueId);

    /// Drops the oldest records that removed targets have in memory, as
    /// [`Reason::TargetRemoved`](crate::Reason::TargetRemoved), until at most `bytes` of all removed targets together are
    /// in memory. Leased records count and are not dropped.
    fn shed_removed(&self, bytes: u64);
}

/// A running backend.
#[derive(Debug)]
pub struct OpenBackend {
    /// Takes records in, for all targets.
    pub producer: Arc<dyn Producer>,
    /// Changes the list of targets.
    pub registry: Arc<dyn Registry>,
    /// The queues of the first list, in its order.
    pub queues: Vec<OpenQueue>,
}
