//! The seam between those who capture profiles and those who deliver them.
//!
//! A [`Record`] is one captured request. The request path *offers* it once to a [`Producer`], which
//! stands for all targets; each target's deliverer *leases* it from its own [`Consumer`] and settles
//! the [`Lease`]: ack, lose (with a [`Reason`]), retry (not before an instant), or release by dropping it.
//!
//! Invariants, for every backend:
//!
//! - `offer` never waits. What does not fit is lost by the stated policy and counted.
//! - A record lies in memory once, however many targets it has ([`std::sync::Arc`]), and every byte
//!   of it is charged to the one [`Budget`] until the last target has settled.
//! - Per target, at every instant: `accepted = sent + pending + Σ dropped{reason}` in records and in
//!   bytes, out of one [`Ledger`].
//! - A record that is leased, or waits for its next try, still counts as pending and against the limits.
//!
//! What this crate does not do: no sockets, no files, no knowledge of what Pyroscope speaks.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod budget;
mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod history;
mod ledger;
mod memory;
mod payload;
mod queue;
mod reason;
mod record;
mod seam;

pub use budget::{Budget, Reservation};
pub use check::{Check, RecordCheck, Unfit};
pub use history::History;
pub use ledger::{Counts, Ledger, Tally};
pub use memory::open as open_memory;
pub use payload::{Payload, PayloadBuffer};
pub use queue::{Next, Queue, Taken, Waiting, Waits};
pub use reason::Reason;
pub use record::{Head, Record, SurfaceId};
pub use seam::{
    Consumer, FRESH_FOR, Fate, Lane, Lease, LeaseFuture, Limits, Offered, Producer, Receipt,
    Settle, Surfaces, Wanted, WhenFull,
};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex` and ignores poisoning: for data that stays consistent even if a holder panics.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
