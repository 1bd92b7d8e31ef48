//! The traits that a backend implements and the values that pass through them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use crate::{Reason, Record};

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

    /// Counts a profile of `bytes` that could not be captured, for every target.
    fn refuse(&self, bytes: u64, reason: Reason);
}

/// What became of an offer.
#[must_use]
#[derive(Debug)]
pub struct Offered {
    /// Targets whose queue took the record.
    pub taken: usize,
    /// Targets whose queue refused it.
    pub refused: usize,
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

/// What [`Consumer::lease`] returns.
pub type LeaseFuture<'a> = Pin<Box<dyn Future<Output = Option<Lease>> + Send + 'a>>;

/// The side of one target's deliverer.
pub trait Consumer: fmt::Debug + Send + Sync {
    /// The oldest record that nobody has leased, as soon as there is one. `None`: the producer is
    /// gone and nothing is pending, in flight included.
    fn lease(&self) -> LeaseFuture<'_>;

    /// Loses everything that is not leased and closes the queue to new records, for `reason`.
    fn abandon(&self, reason: Reason);

    /// When the oldest pending record was received, in flight included.
    fn oldest(&self) -> Option<SystemTime>;
}

/// A record that is being delivered. Dropping it without a word gives it back to the queue.
#[must_use]
pub struct Lease {
    record: Arc<Record>,
    settle: Option<Box<dyn Settle>>,
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The target has it.
    Sent,
    /// It is lost.
    Lost(Reason),
    /// It goes back to the front of the queue.
    Released,
}

/// The backend's end of a lease. Called exactly once, and must not wait.
pub trait Settle: Send {
    /// Takes note of how the lease ended.
    fn settle(self: Box<Self>, fate: Fate);
}

impl Lease {
    /// A lease of `record`, settled through `settle`.
    pub fn new(record: Arc<Record>, settle: Box<dyn Settle>) -> Self {
        Self {
            record,
            settle: Some(settle),
        }
    }

    /// The record.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// The target has it.
    pub fn ack(self) {
        self.end(Fate::Sent);
    }

    /// It is lost, for `reason`.
    pub fn lose(self, reason: Reason) {
        self.end(Fate::Lost(reason));
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
