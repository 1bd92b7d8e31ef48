//! Targets that were removed from the configuration and still have pending records.

use std::collections::BTreeMap;
use std::time::SystemTime;

use pyrotee_queue::Tally;

use crate::format::SavedCursor;
use crate::recovery::ScannedRecord;

/// A target that was removed from the configuration, with its pending records.
#[derive(Debug)]
pub(crate) struct RemovedTarget {
    pub(crate) saved: SavedCursor,
    /// Pending records, by segment. A segment without any has no element.
    pub(crate) pending: BTreeMap<u64, PendingCount>,
}

/// A number of pending records, and when the oldest of them was received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PendingCount {
    pub(crate) tally: Tally,
    pub(crate) oldest: Option<SystemTime>,
}

impl PendingCount {
    pub(crate) fn add(&mut self, bytes: u64, received: SystemTime) {
        self.tally.add(bytes);
        self.oldest = Some(self.oldest.map_or(received, |oldest| oldest.min(received)));
    }
}

impl RemovedTarget {
    /// How many records are pending in all segments.
    pub(crate) fn pending(&self) -> Tally {
        self.pending.values().map(|it| it.tally).sum()
    }

    /// Settles the pending records of a segment that is removed, and returns how many they were. `end`: the
    /// number at which the next segment begins.
    pub(crate) fn lose_segment(&mut self, segment: u64, end: u64) -> Option<PendingCount> {
        let end = end.min(self.saved.horizon);
        self.saved.settled.insert(segment..end);
        self.pending.remove(&segment)
    }

    /// Settles one record of a segment. Records must be settled in the order in which they were received.
    pub(crate) fn settle(&mut self, record: &ScannedRecord, segment: u64) {
        self.saved.settled.insert(record.number..record.number + 1);
        if let Some(pending) = self.pending.get_mut(&segment) {
            pending.tally.profiles = pending.tally.profiles.saturating_sub(1);
            pending.tally.bytes = pending.tally.bytes.saturating_sub(record.bytes);
            pending.oldest = Some(record.received);
            if pending.tally.profiles == 0 {
                self.pending.remove(&segment);
            }
        }
    }

    /// Settles all records, and returns how many were pending in each segment. The cursor stays: as long as
    /// a segment lists this target as a taker, the next start must know that no record is pending for it.
    pub(crate) fn lose_all(&mut self) -> BTreeMap<u64, PendingCount> {
        self.saved.settled.insert(0..self.saved.horizon);
        std::mem::take(&mut self.pending)
    }
}
