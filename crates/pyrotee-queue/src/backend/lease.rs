//! The lease of a record that is being delivered to one target, and how the lease ends.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use crate::{Birth, Lane, Reason, Record, RetryHistory, StepClock};

/// Time until the retry of a record whose delivery panicked.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// A record that is being delivered to one target. Dropping the lease releases the record. If a panic drops the lease,
/// this counts as a failed delivery that is retried after 1 s, so that a record which makes its deliverer panic is not
/// leased again at once, over and over.
#[must_use]
pub struct Lease {
    record: Arc<Record>,
    lane: Lane,
    history: RetryHistory,
    evicted: bool,
    birth: Option<Birth>,
    settle: Option<Box<dyn Settle>>,
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// The target acknowledged the record.
    Acked,
    /// The record is dropped.
    Lost(Reason),
    /// The record goes back to its place in the queue.
    Released,
    /// The record goes back to its place in the queue and is deferred until `at`.
    Retried {
        /// When the retry is due. Until then only a filter for deferred records finds the record.
        at: Instant,
        /// The history that the next lease of the record carries.
        history: RetryHistory,
    },
}

/// Lets the backend settle a lease.
pub trait Settle: Send {
    /// Records how the lease ended. Called once per lease; must not wait.
    fn settle(self: Box<Self>, end: LeaseEnd);
}

impl Lease {
    /// A lease of `record`, settled through `settle`.
    pub fn new(
        record: Arc<Record>,
        lane: Lane,
        history: RetryHistory,
        settle: Box<dyn Settle>,
    ) -> Self {
        Self {
            record,
            lane,
            history,
            evicted: false,
            birth: None,
            settle: Some(settle),
        }
    }

    /// Marks the record as evicted, if `evicted`.
    pub fn with_evicted(mut self, evicted: bool) -> Self {
        self.evicted = evicted;
        self
    }

    /// Sets the time of receipt from which the record's age counts. Default: the time in the record's head.
    pub fn with_birth(mut self, birth: Birth) -> Self {
        self.birth = Some(birth);
        self
    }

    /// The time of receipt from which the record's age counts. It may differ from the time in the
    /// record's head, which is part of the profile and never changes.
    pub fn birth(&self) -> Birth {
        let at = self.record.head().received;
        let system = || Birth::new(at, StepClock::system());
        self.birth.clone().unwrap_or_else(system)
    }

    /// Whether the record is to be dropped instead of being uploaded. Either the record made room for a new one in a
    /// full queue: of all queued records it had failed most often while the target accepted others. Or processes
    /// ended while the record alone was in flight ([`RetryHistory::ended_processes`]).
    pub fn is_evicted(&self) -> bool {
        self.evicted
    }

    /// The leased record.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// The lane that the record was leased from.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The results of earlier deliveries of the record.
    pub fn history(&self) -> RetryHistory {
        self.history
    }

    /// Ends the lease: the target acknowledged the record.
    pub fn ack(self) {
        self.end(LeaseEnd::Acked);
    }

    /// Ends the lease: the record is dropped, for `reason`.
    pub fn lose(self, reason: Reason) {
        self.end(LeaseEnd::Lost(reason));
    }

    /// Ends the lease: the delivery failed and is retried, not before `at`. The next lease of the record
    /// carries `history`.
    pub fn retry(self, at: Instant, history: RetryHistory) {
        self.end(LeaseEnd::Retried { at, history });
    }

    fn end(mut self, end: LeaseEnd) {
        if let Some(settle) = self.settle.take() {
            settle.settle(end);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(settle) = self.settle.take() else {
            return;
        };
        if !thread::panicking() {
            settle.settle(LeaseEnd::Released);
            return;
        }
        let history = RetryHistory {
            failures: self.history.failures.saturating_add(1),
            panics: self.history.panics.saturating_add(1),
            ..self.history
        };
        let at = Instant::now() + PAUSE_AFTER_PANIC;
        settle.settle(LeaseEnd::Retried { at, history });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("bytes", &self.record.len())
            .finish_non_exhaustive()
    }
}
