//! Queues the records that an earlier process left on disk.

use std::thread::sleep;
use std::time::Duration;

use super::Queue;
use super::entry::QueuedRecord;
use super::state::Phase;
use crate::{Reason, Tally, lock};

/// Most records that are queued under one hold of the lock: about 0.1 ms.
const MOST_AT_ONCE: usize = 256;

/// Pause between two holds of the lock. A thread that takes a lock again at once keeps out the threads that wait for
/// the lock.
const PAUSE: Duration = Duration::from_micros(50);

impl<R: QueuedRecord> Queue<R> {
    /// Queues records that an earlier process left on disk, as backlog. Their numbers are below all numbers of this
    /// process, and their times of receipt are in steady time. `lost`: the records that are damaged or missing, which
    /// are dropped as [`Reason::Corrupt`]. The ledger counts both in one step. Blocks for some microseconds per record,
    /// but holds the lock only for about 0.1 ms at a time, so offers hardly wait.
    pub fn recover(&self, records: Vec<(u64, R)>, lost: Tally) {
        let mut pending = Tally::default();
        for (_, record) in &records {
            pending.add(record.len());
        }
        // Set before the ledger counts the records, so that the queue does not count as finished.
        lock(&self.state).unaccounted += records.len();
        self.ledger.recover(pending, lost, Reason::Corrupt);
        let mut records = records.into_iter();
        loop {
            let batch: Vec<_> = records.by_ref().take(MOST_AT_ONCE).collect();
            if batch.is_empty() {
                break;
            }
            self.recover_batch(batch);
            self.notify();
            if records.len() > 0 {
                sleep(PAUSE);
            }
        }
    }

    /// Queues a lethal record that an earlier process left on disk, to be leased at once and dropped.
    /// `ended_processes`: how many processes ended while this record alone was in flight.
    pub fn recover_lethal(&self, number: u64, record: R, ended_processes: u32) {
        let born = record.received().min(self.clock.now());
        let mut state = lock(&self.state);
        self.ledger.accept(record.len());
        let key = state.key(number);
        state.insert_lethal(key, record, born, ended_processes);
        drop(state);
        self.notify();
    }

    /// Whether a record with one of these numbers is pending, in flight included.
    pub fn has_any_of(&self, numbers: impl IntoIterator<Item = u64>) -> bool {
        let state = lock(&self.state);
        let is_pending = |number| {
            let key = state.key(number);
            let mut queued = state.queued.records(key..key + 1);
            queued.next().is_some() || state.leased.contains_key(&key)
        };
        numbers.into_iter().any(is_pending)
    }

    fn recover_batch(&self, batch: Vec<(u64, R)>) {
        let (now, count) = (self.clock.now(), batch.len());
        let mut state = lock(&self.state);
        let Phase::Abandoned(reason) = state.phase else {
            for (number, record) in batch {
                let born = record.received().min(now);
                let key = state.key(number);
                state.insert_recovered(key, record, born);
            }
            state.unaccounted -= count;
            return;
        };
        drop(state);
        for (_, record) in batch {
            record.settled(Some(reason));
            self.ledger.lose(record.len(), reason);
        }
        lock(&self.state).unaccounted -= count;
    }
}
