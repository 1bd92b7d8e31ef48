//! A part of the budget that one recording or one record uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Budget;

/// Bytes of a recording or a record, charged to a [`Budget`]. Dropping the reservation returns them.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
    used_for: Use,
}

/// What the bytes of a reservation are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A body that is still being received.
    Recording,
    /// A record, or a value that is derived from a record.
    Record,
}

impl Reservation {
    pub(super) fn new(budget: &Arc<Budget>, used_for: Use, bytes: u64) -> Option<Self> {
        let mut reservation = Self {
            budget: Arc::clone(budget),
            bytes: 0,
            used_for,
        };
        reservation.grow(bytes).then_some(reservation)
    }

    /// Charges `bytes` more. `false`: a limit would be exceeded, and nothing more is charged.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let budget = &self.budget;
        let is_recording = self.used_for == Use::Recording;
        if is_recording && !take(&budget.receiving, bytes, budget.most_receiving()) {
            return false;
        }
        if !take(&budget.held, bytes, budget.most_held) {
            if is_recording {
                budget.receiving.fetch_sub(bytes, Relaxed);
            }
            return false;
        }
        self.bytes += bytes;
        true
    }

    /// Charges more bytes or returns some, so that `bytes` are charged. `false`: a limit would be exceeded, and
    /// nothing changed.
    pub fn resize(&mut self, bytes: u64) -> bool {
        if let Some(more) = bytes.checked_sub(self.bytes) {
            return self.grow(more);
        }
        self.give_back(self.bytes - bytes);
        true
    }

    /// Bytes charged so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The budget that the bytes are charged to.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Moves the bytes from the recordings to the records. The sum of both stays the same, so this cannot fail.
    pub(crate) fn into_recorded(mut self) -> Self {
        if self.used_for == Use::Recording {
            self.used_for = Use::Record;
            self.budget.receiving.fetch_sub(self.bytes, Relaxed);
        }
        self
    }

    fn give_back(&mut self, bytes: u64) {
        self.bytes -= bytes;
        self.budget.held.fetch_sub(bytes, Relaxed);
        if self.used_for == Use::Recording {
            self.budget.receiving.fetch_sub(bytes, Relaxed);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// Adds `bytes` to `used` unless the sum would exceed `limit`. `false`: nothing was added.
fn take(used: &AtomicU64, bytes: u64, limit: u64) -> bool {
    used.fetch_update(Relaxed, Relaxed, |used| {
        used.checked_add(bytes).filter(|total| *total <= limit)
    })
    .is_ok()
}
