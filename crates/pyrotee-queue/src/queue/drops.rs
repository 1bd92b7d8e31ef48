//! Dropping queued records before they are delivered.

use std::ops::Range;

use super::Queue;
use super::entry::{QueueEntry, QueuedRecord};
use super::state::{Phase, State};
use crate::{Reason, Tally, lock};

/// Most records that are taken out under one hold of the lock: freeing all records of a segment takes
/// milliseconds.
const MOST_AT_ONCE: usize = 64;

impl<R: QueuedRecord> Queue<R> {
    /// Drops the queued records with these numbers, for `reason`, and returns how many they were and their bytes. A
    /// leased record is dropped when it is released, and is not included in the result.
    pub fn lose_numbers(&self, numbers: Range<u64>, reason: Reason) -> Tally {
        let mut state = lock(&self.state);
        let keys = state.keys(numbers);
        state.lose_on_return(keys.clone(), reason);
        drop(state);
        self.lose_each(reason, |state| {
            let next = state.queued.records(keys.clone()).next();
            next.map(|(key, _)| key)
        })
    }

    /// Drops the records that are in memory and not leased, for `reason`.
    pub fn lose_in_memory(&self, reason: Reason) {
        self.lose_each(reason, |state| {
            let next = state.first_in_memory();
            next.map(|(key, _)| key)
        });
    }

    /// Closes the queue to new records and drops the queued records, for `reason`. A leased record is
    /// dropped when it is released.
    pub fn abandon(&self, reason: Reason) {
        lock(&self.state).phase = Phase::Abandoned(reason);
        self.lose_while(reason, |_, _| true);
    }

    /// Drops the records that are queued now, as [`Reason::Admin`], and returns their number and bytes.
    pub fn purge(&self) -> Tally {
        let end = lock(&self.state).next_key;
        self.lose_each(Reason::Admin, |state| {
            let next = state.queued.records(0..end).next();
            next.map(|(key, _)| key)
        })
    }

    /// Drops queued records, the oldest first, for `reason`, until `is_lost` returns `false` for the oldest.
    fn lose_while(&self, reason: Reason, is_lost: impl Fn(u64, &R) -> bool) {
        self.lose_each(reason, |state| {
            let oldest = state.queued.oldest();
            let lost = oldest.filter(|(key, record)| is_lost(*key, record));
            lost.map(|(key, _)| key)
        });
    }

    /// Drops the records whose keys `next` returns, a batch at a time, until `next` returns `None`. Returns
    /// the number and bytes of the dropped records.
    pub(super) fn lose_each(
        &self,
        reason: Reason,
        next: impl Fn(&State<R>) -> Option<u64>,
    ) -> Tally {
        let mut lost = Tally::default();
        loop {
            let mut state = lock(&self.state);
            let mut batch = Vec::new();
            while batch.len() < MOST_AT_ONCE
                && let Some(key) = next(&state)
            {
                batch.extend(state.take_out(key));
            }
            state.unaccounted += batch.len();
            drop(state);
            self.lose(&batch, reason);
            lock(&self.state).unaccounted -= batch.len();
            for entry in &batch {
                lost.add(entry.record.len());
            }
            if batch.len() < MOST_AT_ONCE {
                break;
            }
        }
        self.notify();
        lost
    }

    /// Settles entries that were taken out and counts them as lost. Must not be called under the lock.
    pub(super) fn lose(&self, entries: &[QueueEntry<R>], reason: Reason) {
        for entry in entries {
            entry.record.settled(Some(reason));
            self.ledger.lose(entry.record.len(), reason);
        }
    }
}
