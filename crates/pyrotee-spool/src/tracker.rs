//! Which target has settled which records, and which segments still have pending records.
//!
//! The lock of the tracker may be held while a record's is taken. It is never held together with a queue's.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use pyrotee_queue::{Reason, Record, lock};

use crate::format::{NumberSet, TargetId};
use crate::segments::Segments;
use crate::spooled_record::{RecordLocation, SegmentPosition, SpooledRecord};
use crate::storage::File;
use crate::wakeup::WriterWakeup;

/// Tracks the settled records of every target and the segments that they leave in use.
#[derive(Debug)]
pub(crate) struct SettlementTracker {
    state: Mutex<TrackerState>,
    /// Number of settlements after which the writer is woken to save the cursors.
    save_every: u64,
    pub(crate) wakeup: WriterWakeup,
}

/// What a restart needs to know, beside the records.
#[derive(Debug, Default)]
pub(crate) struct TrackerState {
    /// One per target: the configured ones in their order, then the removed ones.
    pub(crate) cursors: Vec<Cursor>,
    pub(crate) segments: Segments,
    /// Numbers in segments that could not be read of which it is not known whether there is a record.
    pub(crate) unknown: NumberSet,
    /// Settlements since the cursors were last saved.
    pub(crate) unsaved: u64,
}

/// How far a target is.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) id: TargetId,
    pub(crate) name: String,
    pub(crate) settled: NumberSet,
    /// `None`: the target is configured.
    pub(crate) removal: Option<Removal>,
    /// The saved cursors do not know the target: of what earlier processes wrote, it loses nothing that is missing.
    pub(crate) is_new: bool,
}

/// When a target was removed from the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Removal {
    /// The first start without the target, in seconds since the epoch.
    pub(crate) since: u64,
    /// Records from this number on are not for the target.
    pub(crate) horizon: u64,
}

impl Cursor {
    /// Whether the target may be a taker of the record with this number and has not settled it.
    fn takes(&self, number: u64) -> bool {
        let is_for_it = self.removal.is_none_or(|it| number < it.horizon);
        is_for_it && !self.settled.contains(number)
    }
}

impl SettlementTracker {
    pub(crate) fn new(save_every: u64, min_sleep: Duration) -> Self {
        Self {
            state: Mutex::default(),
            save_every,
            wakeup: WriterWakeup::new(min_sleep),
        }
    }

    /// Reads or changes the state under its lock.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut TrackerState) -> T) -> T {
        change(&mut lock(&self.state))
    }

    /// Settles a record for one target. `lost`: why the record was dropped; `None`: it was acknowledged.
    pub(crate) fn settle(&self, record: &SpooledRecord, target: u16, lost: Option<Reason>) {
        let mut tracker = lock(&self.state);
        let mut state = lock(&record.state);
        if let Some(cursor) = tracker.cursors.get_mut(usize::from(target)) {
            cursor.settled.insert(record.number..record.number + 1);
        }
        state.claims = state.claims.saturating_sub(1);
        state.resolved |= matches!(lost, None | Some(Reason::Rejected | Reason::Undecodable));
        let mut released = None;
        let mut done = false;
        match &state.location {
            RecordLocation::Disk { position, .. } => {
                done = tracker.segments.release(position.segment, 1);
            }
            RecordLocation::Memory(_) | RecordLocation::Released => {}
        }
        if state.claims == 0 {
            let location = std::mem::replace(&mut state.location, RecordLocation::Released);
            released = Some(location);
        }
        tracker.unsaved += 1;
        let save = tracker.unsaved >= self.save_every;
        drop(state);
        drop(tracker);
        // Frees the body, after the locks.
        drop(released);
        if save || done {
            self.wakeup.notify();
        }
    }

    /// The record to be written and the targets that have not settled it. `None`: all have, or it is written.
    pub(crate) fn unsettled(&self, record: &SpooledRecord) -> Option<(Arc<Record>, Vec<TargetId>)> {
        let tracker = lock(&self.state);
        let state = lock(&record.state);
        let RecordLocation::Memory(body) = &state.location else {
            return None;
        };
        let unsettled = tracker
            .cursors
            .iter()
            .filter(|cursor| cursor.takes(record.number));
        let takers = unsettled.map(|cursor| cursor.id).collect();
        Some((Arc::clone(body), takers))
    }

    /// Notes that a record was written, and releases its body from memory.
    pub(crate) fn written(&self, record: &SpooledRecord, position: SegmentPosition) {
        let mut tracker = lock(&self.state);
        let mut state = lock(&record.state);
        if state.claims == 0 {
            return;
        }
        tracker
            .segments
            .claim(position.segment, u64::from(state.claims));
        let before = std::mem::replace(&mut state.location, RecordLocation::Released);
        let cached = match &before {
            RecordLocation::Memory(record) => Arc::downgrade(record),
            RecordLocation::Disk { .. } | RecordLocation::Released => Weak::new(),
        };
        state.location = RecordLocation::Disk { position, cached };
        drop(state);
        drop(tracker);
        // Frees the body, after the locks.
        drop(before);
    }

    /// The open file of a segment. `None`: the segment was removed.
    pub(crate) fn file(&self, segment: u64) -> Option<Arc<dyn File>> {
        let tracker = lock(&self.state);
        tracker.segments.get(segment)?.file.clone()
    }
}
