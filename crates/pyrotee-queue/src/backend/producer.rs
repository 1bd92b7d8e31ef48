//! The request path's interface to a backend: a [`Producer`] takes new records for all targets.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{QueueId, Reason, Record};

/// Takes new records from the request path. One producer serves all targets, so that a backend can keep
/// each record once for all of them. Dropping the producer closes the queues.
pub trait Producer: fmt::Debug + Send + Sync {
    /// Offers a record to every target. Never waits. When the call returns, the ledgers count every loss.
    fn offer(&self, record: &Arc<Record>) -> OfferResult;

    /// Offers a record to the queue of a single target. Never waits. When the
    /// call returns, the ledger of that target counts a loss; the ledgers of other targets do not change.
    fn offer_to_target(&self, target: QueueId, record: &Arc<Record>) -> OfferResult;

    /// Counts one profile of `bytes`, which is never offered, as lost for every target, for `reason`.
    fn refuse(&self, bytes: u64, reason: Reason);
}

/// How many targets queued an offered record. Both numbers are zero if the list of targets is empty, and after an
/// offer to a target that is not in the list.
#[must_use]
#[derive(Debug)]
pub struct OfferResult {
    /// Targets whose queue took the record.
    pub queued: usize,
    /// Targets whose queue refused the record.
    pub refused: usize,
    /// No queue could take the record even if it were empty: offering it again is of no use.
    pub oversized: bool,
    /// Resolves when the record is durable.
    pub receipt: Receipt,
}

/// Resolves once a queued record is as durable as its backend can make it.
#[derive(Debug)]
pub struct Receipt(Durability);

#[derive(Debug)]
enum Durability {
    Now,
    Later(oneshot::Receiver<()>),
}

impl Receipt {
    /// A receipt that is resolved already: the backend cannot make the record more durable.
    pub fn immediate() -> Self {
        Self(Durability::Now)
    }

    /// A receipt that resolves when `sync` receives `()`. If the sender is dropped, the record will never
    /// be durable.
    pub fn later(sync: oneshot::Receiver<()>) -> Self {
        Self(Durability::Later(sync))
    }

    /// Waits until the record is durable. `false`: the record will never be durable.
    pub async fn durable(self) -> bool {
        match self.0 {
            Durability::Now => true,
            Durability::Later(sync) => sync.await.is_ok(),
        }
    }
}
