//! The queue between the request path, which captures profiles, and the delivery path, which uploads them.
//!
//! A [`Record`] is one captured request. The request path *offers* each record once, to a [`Producer`] that
//! serves all targets. The workers of each target *lease* records from the target's own [`Consumer`] and
//! settle each [`Lease`]: ack, lose (with a [`Reason`]), retry (not before an instant), or release by
//! dropping the lease.
//!
//! Invariants, for every backend:
//!
//! - `offer` never waits. If a queue is full, [`WhenFull`] says which records are dropped, and the ledger counts them.
//! - A record is in memory once, however many targets it has ([`std::sync::Arc`]), and its bytes are
//!   charged to the one [`Budget`] until the last target has settled it.
//! - Per target, at every instant, in records and in bytes:
//!   `accepted + taken_over = sent + pending + Σ dropped{reason} + handed_over`. The terms `taken_over` and `handed_over`
//!   are zero unless several relays share a backlog. One [`Ledger`] per target holds all these counts.
//! - A record that is leased or deferred still counts as pending, and against the limits.
//!
//! This crate opens no sockets and no files, and does not depend on Pyroscope's protocols.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod backend;
mod budget;
mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod disk_thread;
mod failure_log;
mod headers;
mod ledger;
mod log_limiter;
mod memory;
mod payload;
mod queue;
mod reason;
mod receipt_time;
mod record;
mod retry_history;
mod step_clock;
mod supervisor;
mod wall_clock;

pub use backend::{
    Consumer, FRESH_FOR, Lane, Lease, LeaseEnd, LeaseFilter, LeaseFuture, Limits, OfferResult,
    OpenBackend, OpenQueue, Producer, QueueId, Receipt, Registry, Settle, Sharing, Surfaces,
    TargetQueue, WhenFull,
};
pub use budget::{Budget, Reservation, Workspace};
pub use check::{Check, RecordCheck, Unfit};
pub use disk_thread::on_thread;
pub use failure_log::{FailureLevel, FailureLog};
pub use headers::Headers;
pub use ledger::{Counts, Ledger, Tally};
pub use log_limiter::{LOG_INTERVAL, LogLimiter};
pub use memory::{
    MemoryQueue, consumer as memory_consumer, lease as memory_lease, open as open_memory,
    open_with as open_memory_with,
};
pub use payload::{Payload, PayloadBuffer};
pub use queue::{LeasedEntry, Queue, QueuedRecord, TakeResult, Waiting, shed_oldest};
pub use reason::Reason;
pub use receipt_time::receipt_time;
pub use record::{Head, Record, SurfaceId};
pub use retry_history::RetryHistory;
pub use step_clock::{Birth, StepClock, shift};
pub use supervisor::{Panic, Part, Supervisor, catch_panic};
pub use wall_clock::WallClock;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex` even if a thread that held it panicked.
///
/// The critical sections of this workspace are short and call nothing that can panic half-way through a
/// change, so the data behind a poisoned mutex is still consistent. Passing the panic on would turn the
/// failure of one request into the failure of all later ones.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
