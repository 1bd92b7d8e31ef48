//! Which target has settled which records, and which segments still have pending records.
//!
//! The lock of the tracker may be held while a record's is taken. It is never held together with a queue's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use pyrotee_queue::{Reason, Record, Tally, lock};

use crate::format::{NumberSet, TargetId};
use crate::removed_target::RemovedTarget;
use crate::segments::Segments;
use crate::shared::PendingWrite;
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
    /// One per configured target, in their order.
    pub(crate) cursors: Vec<Cursor>,
    pub(crate) removed: Vec<RemovedTarget>,
    pub(crate) segments: Segments,
    /// Numbers in segments that could not be read of which it is not known whether there is a record.
    pub(crate) unknown: NumberSet,
    /// Settlements since the cursors were last saved.
    pub(crate) unsaved: u64,
}

/// How far a configured target is.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) id: TargetId,
    pub(crate) name: String,
    pub(crate) settled: NumberSet,
}

impl SettlementTracker {
    /// The tracker of a spool that is not open yet, with targets of these names.
    pub(crate) fn new(names: &[String], save_every: u64, min_sleep: Duration) -> Self {
        let cursor = |name: &String| Cursor {
            id: TargetId::default(),
            name: name.clone(),
            settled: NumberSet::default(),
        };
        let state = TrackerState {
            cursors: names.iter().map(cursor).collect(),
            ..TrackerState::default()
        };
        Self {
            state: Mutex::new(state),
            save_every,
            wakeup: WriterWakeup::new(min_sleep),
        }
    }

    /// Reads or changes the state under its lock.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut TrackerState) -> T) -> T {
        change(&mut lock(&self.state))
    }

    /// Takes up the state that the files tell, and lowers the numbers of the records that were offered before `by` so
    /// many. `unwritten`: those of them that some target has not settled.
    pub(crate) fn open(
        &self,
        mut opened: TrackerState,
        by: u64,
        unwritten: &VecDeque<PendingWrite>,
    ) {
        let mut state = lock(&self.state);
        for (opened, cursor) in opened.cursors.iter_mut().zip(&state.cursors) {
            for settled in cursor.settled.ranges() {
                opened.settled.insert(settled.start - by..settled.end - by);
            }
        }
        for write in unwritten {
            write.record.renumber(by);
        }
        opened.unsaved += state.unsaved;
        *state = opened;
    }

    /// Settles a record for one target. `lost`: why the record was dropped; `None`: it was acknowledged.
    pub(crate) fn settle(&self, record: &SpooledRecord, target: u16, lost: Option<Reason>) {
        let mut tracker = lock(&self.state);
        let mut state = lock(&record.state);
        if let Some(cursor) = tracker.cursors.get_mut(usize::from(target)) {
            let number = record.number();
            cursor.settled.insert(number..number + 1);
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
            .filter(|cursor| !cursor.settled.contains(record.number()));
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

impl TrackerState {
    /// The removed targets that have pending records.
    pub(crate) fn removed_with_records(&self) -> impl Iterator<Item = &RemovedTarget> {
        let removed = self.removed.iter();
        removed.filter(|removed| self.has_records(removed))
    }

    /// The removed target with this number, if it has pending records.
    pub(crate) fn removed_target(&self, id: TargetId) -> Option<&RemovedTarget> {
        self.removed_with_records().find(|it| it.saved.id == id)
    }

    /// Drops the pending records of the removed targets that `is_lost` selects. Returns the name of each and
    /// how many records it lost.
    pub(crate) fn lose_removed(
        &mut self,
        is_lost: impl Fn(&RemovedTarget) -> bool,
    ) -> Vec<(String, Tally)> {
        let mut lost = Vec::new();
        for index in 0..self.removed.len() {
            let removed = self.removed.get(index);
            let Some(removed) = removed.filter(|it| self.has_records(it) && is_lost(it)) else {
                continue;
            };
            let mut pending = removed.pending();
            pending.profiles += self.unread_records(&removed.saved.settled);
            lost.push((removed.saved.name.clone(), pending));
            let Some(removed) = self.removed.get_mut(index) else {
                continue;
            };
            for (segment, pending) in removed.lose_all() {
                self.segments.release(segment, pending.tally.profiles);
            }
            self.unsaved += 1;
        }
        if !lost.is_empty() {
            self.resolve_unread();
        }
        lost
    }
}
