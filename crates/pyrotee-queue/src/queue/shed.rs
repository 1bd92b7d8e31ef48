//! Dropping the oldest records of several queues, until they hold little enough memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use super::Queue;
use super::entry::QueuedRecord;
use crate::{Reason, lock};

/// Drops the oldest records that `queues` have in memory, for `reason`, until at most `bytes` of all of them together are
/// in memory. Leased records count and are not dropped.
pub fn shed_oldest<R: QueuedRecord>(queues: &[Arc<Queue<R>>], bytes: u64, reason: Reason) {
    let held: u64 = queues.iter().map(|queue| queue.bytes_in_memory()).sum();
    let mut excess = held.saturating_sub(bytes);
    let of = |index: usize| Some((queues.get(index)?.oldest_in_memory()?, index));
    let mut oldest: BTreeSet<_> = (0..queues.len()).filter_map(of).collect();
    while excess > 0
        && let Some((_, index)) = oldest.pop_first()
        && let Some(queue) = queues.get(index)
    {
        let dropped = queue.lose_oldest_in_memory(reason);
        excess = excess.saturating_sub(dropped.unwrap_or_default());
        oldest.extend(of(index));
    }
}

impl<R: QueuedRecord> Queue<R> {
    /// Bytes of the records that are in memory, queued or leased.
    fn bytes_in_memory(&self) -> u64 {
        lock(&self.state).bytes_in_memory()
    }

    /// When the oldest record that is in memory and not leased was received.
    fn oldest_in_memory(&self) -> Option<SystemTime> {
        let state = lock(&self.state);
        let (_, record) = state.first_in_memory()?;
        Some(record.received())
    }

    /// Drops the oldest record that is in memory and not leased, for `reason`. Returns its bytes; `None`: there is none.
    fn lose_oldest_in_memory(&self, reason: Reason) -> Option<u64> {
        let mut state = lock(&self.state);
        let (key, _) = state.first_in_memory()?;
        let entry = state.take_out(key)?;
        state.unaccounted += 1;
        drop(state);
        let bytes = entry.record.len();
        self.lose(&[entry], reason);
        lock(&self.state).unaccounted -= 1;
        // The queue may have ended.
        self.notify();
        Some(bytes)
    }
}
