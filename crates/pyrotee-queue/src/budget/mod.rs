//! One budget of bytes for all bodies that are being received, queued, unpacked or sent.
//!
//! The limit L has three uses, and each is protected from the others:
//!
//! | use | most | at the limit |
//! |---|---|---|
//! | *workspaces*: memory in which deliveries unpack and pack bodies | L/4, for workspaces alone | deliveries wait, in order of arrival |
//! | *records*: bodies that are queued or in flight | 3L/4, together with the recordings | a recording fails, a spool reads later |
//! | *recordings*: bodies that are still being received | L/2, or the longest body if that is more; at most 11L/16 | the recording fails |
//!
//! Example: with L = 24 MiB, workspaces have 6 MiB, and recordings at most 12 MiB of the other 18 MiB (up to 16.5 MiB,
//! if the longest body is longer than 12 MiB).
//!
//! Invariants:
//!
//! - Receiving + recorded + unpacking never exceeds L, and no use exceeds its own limit.
//! - A complete recording becomes a record without a further reservation, so this step cannot fail.
//! - A delivery that waits for a workspace holds no other workspace. So all workspaces in use are returned while the
//!   delivery waits, and there is no deadlock.

mod reservation;
#[cfg(test)]
mod tests;
mod workspace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Semaphore;

use crate::Record;
pub use reservation::Reservation;
use reservation::Use;
pub use workspace::Workspace;

/// The global memory limit. A body that several targets share is charged once.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    /// Most bytes of recordings and records together.
    most_held: u64,
    /// Most bytes of recordings. A reload changes it with the longest body.
    most_receiving: AtomicU64,
    /// Bytes of recordings and records.
    held: AtomicU64,
    /// Bytes of recordings.
    receiving: AtomicU64,
    /// One permit for each [`workspace::UNIT`] of workspace that is free.
    workspaces: Arc<Semaphore>,
    /// Number of permits of `workspaces` while all workspace is free.
    workspace_units: u32,
}

impl Budget {
    /// A budget of `limit` bytes, for recordings of any length.
    pub fn new(limit: u64) -> Arc<Self> {
        Self::for_bodies(limit, limit)
    }

    /// A budget of `limit` bytes, for recordings of at most `longest_body` bytes.
    pub fn for_bodies(limit: u64, longest_body: u64) -> Arc<Self> {
        let units = u32::try_from(limit / 4 / workspace::UNIT).unwrap_or(u32::MAX);
        let permits = usize::try_from(units).map_or(Semaphore::MAX_PERMITS, |units| {
            units.min(Semaphore::MAX_PERMITS)
        });
        Arc::new(Self {
            limit,
            most_held: limit - limit / 4,
            most_receiving: AtomicU64::new(most_receiving(limit, longest_body)),
            held: AtomicU64::new(0),
            receiving: AtomicU64::new(0),
            workspaces: Arc::new(Semaphore::new(permits)),
            workspace_units: u32::try_from(permits).unwrap_or(units),
        })
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The most bytes that recordings and records can take together.
    pub fn most_held(&self) -> u64 {
        self.most_held
    }

    /// The most bytes that one recording can take: a longer body will never have room.
    pub fn most_receiving(&self) -> u64 {
        self.most_receiving.load(Relaxed)
    }

    /// Sets the longest body that is recorded, in bytes. Recordings that have begun keep their bytes.
    pub fn set_longest_body(&self, longest_body: u64) {
        let most = most_receiving(self.limit, longest_body);
        self.most_receiving.store(most, Relaxed);
    }

    /// Bytes charged to bodies that are still being received.
    pub fn receiving(&self) -> u64 {
        self.receiving.load(Relaxed)
    }

    /// Bytes charged to records, which are queued or in flight.
    pub fn recorded(&self) -> u64 {
        self.held.load(Relaxed).saturating_sub(self.receiving())
    }

    /// Whether records and recordings take more than half of [`most_held`](Self::most_held). If so, callers should not
    /// keep values in memory that they can compute again.
    pub fn is_scarce(&self) -> bool {
        self.held.load(Relaxed) > self.most_held / 2
    }

    /// Whether records and recordings take more than three quarters of [`most_held`](Self::most_held). If so, a backend
    /// that can keep records elsewhere should do so.
    pub fn is_nearly_full(&self) -> bool {
        self.held.load(Relaxed) > self.most_held - self.most_held / 4
    }

    /// Charges `bytes` of a record. `None`: a limit would be exceeded, and nothing is charged.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        Reservation::new(self, Use::Record, bytes)
    }

    /// Charges `bytes` of a body that is still being received. `None`: a limit would be exceeded, and nothing is
    /// charged.
    pub fn reserve_recording(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        Reservation::new(self, Use::Recording, bytes)
    }
}

/// Most bytes of recordings, for bodies of at most `longest_body` bytes.
fn most_receiving(limit: u64, longest_body: u64) -> u64 {
    let longest = longest_body.saturating_add(Record::OVERHEAD);
    longest.clamp(limit / 2, longest_recordable(limit).max(limit / 2))
}

/// The longest body, in bytes, that a relay with this memory limit can record: the last sixteenth of the limit is for
/// queued records alone.
fn longest_recordable(limit: u64) -> u64 {
    (limit - limit / 4).saturating_sub(limit / 16)
}
