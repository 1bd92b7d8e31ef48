//! The traits that a backend implements and the values that pass through them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::{History, Reason, Record, SurfaceId, Tally};

/// What becomes of records that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The new record is refused.
    DropNewest,
    /// The oldest records that are not in flight make room, if that is enough.
    DropOldest,
}

/// The limits of one target's queue. Records in flight count.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Bytes of bodies.
    pub bytes: u64,
    /// What gives way at a limit.
    pub when_full: WhenFull,
}

/// The side of the request path. One producer stands for all targets, so that a backend can keep
/// a record once for all of them. Dropping it closes the queues.
pub trait Producer: fmt::Debug + Send + Sync {
    /// Hands a record to every target. Never waits; every loss is in the ledgers already.
    fn offer(&self, record: &Arc<Record>) -> Offered;

    /// Hands a record to one target alone: the one with this index among the consumers. Never waits;
    /// a loss is in that target's ledger already, and no other has anything to do with the record.
    fn offer_to(&self, target: usize, record: &Arc<Record>) -> Offered;

    /// Counts a profile of `bytes` that could not be captured, for every target.
    fn refuse(&self, bytes: u64, reason: Reason);
}

/// What became of an offer. Both numbers are zero if there is no such target.
#[must_use]
#[derive(Debug)]
pub struct Offered {
    /// Targets whose queue took the record.
    pub taken: usize,
    /// Targets whose queue refused it.
    pub refused: usize,
    /// No queue could take the record even if it were empty: trying again is of no use.
    pub oversized: bool,
    /// Resolves when the record would survive a crash as well as the backend can promise.
    pub receipt: Receipt,
}

/// Resolves once a taken record is as durable as its backend makes it.
#[derive(Debug)]
pub struct Receipt(Durability);

#[derive(Debug)]
enum Durability {
    Now,
    Later(oneshot::Receiver<()>),
}

impl Receipt {
    /// A record that is as durable as it will ever be.
    pub fn immediate() -> Self {
        Self(Durability::Now)
    }

    /// A receipt that waits for `()`; a sender that is dropped says that it will never be durable.
    pub fn later(sync: oneshot::Receiver<()>) -> Self {
        Self(Durability::Later(sync))
    }

    /// Waits for the backend. `false`: the record is not durable and will not be.
    pub async fn durable(self) -> bool {
        match self.0 {
            Durability::Now => true,
            Durability::Later(sync) => sync.await.is_ok(),
        }
    }
}

/// How long a record counts as fresh while nothing else makes it backlog.
pub const FRESH_FOR: Duration = Duration::from_secs(30);

/// The two parts of a target's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Offered since the target last fell behind, and not older than [`FRESH_FOR`].
    Fresh,
    /// What could not be delivered in time.
    Backlog,
}

/// A set of surfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surfaces(u64);

impl Surfaces {
    /// Every surface.
    pub const ALL: Self = Self(u64::MAX);
    /// No surface.
    pub const NONE: Self = Self(0);

    /// The set and one more.
    #[must_use]
    pub fn with(self, surface: SurfaceId) -> Self {
        Self(self.0 | Self::bit(surface))
    }

    /// The set without one.
    #[must_use]
    pub fn without(self, surface: SurfaceId) -> Self {
        Self(self.0 & !Self::bit(surface))
    }

    /// Whether the surface belongs to the set.
    pub fn contains(self, surface: SurfaceId) -> bool {
        self.0 & Self::bit(surface) != 0
    }

    /// Numbers beyond the last bit, which no version has given, share it.
    fn bit(surface: SurfaceId) -> u64 {
        1 << surface.0.min(63)
    }
}

/// Which records a lease may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The part of the queue.
    pub lane: Lane,
    /// The surfaces they came in by.
    pub surfaces: Surfaces,
    /// Those that wait for their next try, instead of those that do not.
    pub early: bool,
}

impl Wanted {
    /// Whatever is due, fresh records first.
    pub const ANY: [Self; 2] = [Self::due(Lane::Fresh), Self::due(Lane::Backlog)];

    const fn due(lane: Lane) -> Self {
        Self {
            lane,
            surfaces: Surfaces::ALL,
            early: false,
        }
    }
}

/// What [`Consumer::lease`] returns.
pub type LeaseFuture<'a> = Pin<Box<dyn Future<Output = Option<Lease>> + Send + 'a>>;

/// The side of one target's deliverer.
pub trait Consumer: fmt::Debug + Send + Sync {
    /// The oldest record of the first kind in `wanted` that there is one of, as soon as there is one.
    /// `None`: the producer is gone and nothing is pending, in flight included. One caller at a time.
    fn lease<'a>(&'a self, wanted: &'a [Wanted]) -> LeaseFuture<'a>;

    /// The target could not be given its records in time: all that is pending is backlog.
    fn fall_behind(&self);

    /// Loses what was received before this instant and is not leased, as [`Reason::Expired`].
    fn expire(&self, received_before: SystemTime);

    /// Loses everything that is not leased and closes the queue to new records, for `reason`.
    fn abandon(&self, reason: Reason);

    /// Loses what is pending now and not leased, as [`Reason::Admin`], and goes on; how much that was.
    fn purge(&self) -> Tally;

    /// When the oldest pending record was received, in flight included.
    fn oldest(&self) -> Option<SystemTime>;
}

/// A record that is being delivered. Dropping it without a word gives it back to the queue.
#[must_use]
pub struct Lease {
    record: Arc<Record>,
    lane: Lane,
    history: History,
    settle: Option<Box<dyn Settle>>,
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The target has it.
    Sent,
    /// It is lost.
    Lost(Reason),
    /// It goes back to its place in the queue.
    Released,
    /// It goes back, and is not due before `at`.
    Retried {
        /// When it may be leased again by whoever does not ask for early ones.
        at: Instant,
        /// What the next lease of it shall tell.
        history: History,
    },
}

/// The backend's end of a lease. Called exactly once, and must not wait.
pub trait Settle: Send {
    /// Takes note of how the lease ended.
    fn settle(self: Box<Self>, fate: Fate);
}

impl Lease {
    /// A lease of `record`, settled through `settle`.
    pub fn new(record: Arc<Record>, lane: Lane, history: History, settle: Box<dyn Settle>) -> Self {
        Self {
            record,
            lane,
            history,
            settle: Some(settle),
        }
    }

    /// The record.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// The part of the queue that it came from.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// What is known of earlier tries.
    pub fn history(&self) -> History {
        self.history
    }

    /// The target has it.
    pub fn ack(self) {
        self.end(Fate::Sent);
    }

    /// It is lost, for `reason`.
    pub fn lose(self, reason: Reason) {
        self.end(Fate::Lost(reason));
    }

    /// It failed and shall be tried again, not before `at`; `history` is what was learnt.
    pub fn retry(self, at: Instant, history: History) {
        self.end(Fate::Retried { at, history });
    }

    fn end(mut self, fate: Fate) {
        if let Some(settle) = self.settle.take() {
            settle.settle(fate);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(settle) = self.settle.take() {
            settle.settle(Fate::Released);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("bytes", &self.record.len())
            .finish_non_exhaustive()
    }
}
