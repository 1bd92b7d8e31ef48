//! Converts between the numbers of records, which a backend may change all at once, and their keys.

use std::ops::Range;

use super::Queue;
use super::entry::QueuedRecord;
use super::state::State;
use crate::lock;

impl<R: QueuedRecord> Queue<R> {
    /// Lowers the numbers of all queued, leased and future records by `by`. Afterwards records of an
    /// earlier process can be queued under lower numbers.
    pub fn renumber(&self, by: u64) {
        let mut state = lock(&self.state);
        state.base = state.base.saturating_add(by);
    }
}

impl<R> State<R> {
    /// The key of the record with this number.
    pub(super) fn key(&self, number: u64) -> u64 {
        number.saturating_add(self.base)
    }

    /// The keys of the records with these numbers.
    pub(super) fn keys(&self, numbers: Range<u64>) -> Range<u64> {
        self.key(numbers.start)..self.key(numbers.end)
    }

    /// The number of the record with this key.
    pub(super) fn number(&self, key: u64) -> u64 {
        key.saturating_sub(self.base)
    }
}
