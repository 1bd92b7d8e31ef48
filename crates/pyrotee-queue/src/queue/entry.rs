//! A record in a queue.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::{Lane, Reason, Record, RetryHistory, SurfaceId};

/// An element of a [`Queue`](super::Queue): a [`Record`], or the value that a backend keeps in memory in place of one.
pub trait QueuedRecord {
    /// The surface on which the record was received.
    fn surface(&self) -> SurfaceId;

    /// When the record was received.
    fn received(&self) -> SystemTime;

    /// Length of the captured body, in bytes.
    fn len(&self) -> u64;

    /// Whether the captured body is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells the backend that the target has settled the record. `lost`: why it was dropped; `None`: the
    /// target acknowledged it. Called once at most, and never under the queue's lock.
    fn settled(&self, _lost: Option<Reason>) {}
}

impl QueuedRecord for Arc<Record> {
    fn surface(&self) -> SurfaceId {
        self.head().surface
    }

    fn received(&self) -> SystemTime {
        self.head().received
    }

    fn len(&self) -> u64 {
        Record::len(self)
    }
}

/// A record in a queue, with its times and its retry history.
#[derive(Debug)]
pub(super) struct QueueEntry<R> {
    pub(super) record: R,
    pub(super) offered: Instant,
    /// When the record was received, in steady time (see [`StepClock`](crate::StepClock)).
    pub(super) born: SystemTime,
    pub(super) history: RetryHistory,
    /// When the retry of a deferred record is due; `None`: the record may be leased now.
    pub(super) due: Option<Instant>,
    /// The time from which the record may be leased. The failed lane is in the order of these times.
    pub(super) ready_at: Instant,
    /// When the last delivery failed; `None` if none has.
    pub(super) failed_at: Option<Instant>,
    /// The record does not count against the limits, and is leased only to be dropped; see
    /// [`Lease::is_evicted`](crate::Lease::is_evicted).
    pub(super) evicted: bool,
}

impl<R> QueueEntry<R> {
    /// An entry for an untried record that is queued now.
    pub(super) fn new(record: R, born: SystemTime) -> Self {
        let now = Instant::now();
        Self {
            record,
            offered: now,
            born,
            ready_at: now,
            history: RetryHistory::default(),
            due: None,
            failed_at: None,
            evicted: false,
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.history.failures > 0
    }
}

/// An entry that was taken out of a queue to be leased.
#[derive(Debug)]
pub struct LeasedEntry<R> {
    pub(super) key: u64,
    pub(super) lane: Lane,
    pub(super) entry: QueueEntry<R>,
}

impl<R> LeasedEntry<R> {
    /// The record.
    pub fn record(&self) -> &R {
        &self.entry.record
    }

    /// When the record was received, in steady time.
    pub(super) fn born(&self) -> SystemTime {
        self.entry.born
    }

    /// The lane that the record was taken from.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Whether the record is to be dropped; see [`Lease::is_evicted`](crate::Lease::is_evicted).
    pub fn is_evicted(&self) -> bool {
        self.entry.evicted
    }

    /// The results of earlier deliveries of the record.
    pub fn history(&self) -> RetryHistory {
        self.entry.history
    }
}

/// What [`Queue::take`](super::Queue::take) found.
#[derive(Debug)]
pub enum TakeResult<R> {
    /// A record. It counts as leased until [`Queue::settle`](super::Queue::settle).
    Leased(LeasedEntry<R>),
    /// No record passes the filters.
    NoMatch {
        /// When the next deferred or held-back record may be leased. `None`: only a change of the queue can make a
        /// record available.
        next_due: Option<Instant>,
    },
    /// The queue is closed and no record is pending, or the queue is frozen.
    Finished,
}
