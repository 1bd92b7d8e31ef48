//! Which target has settled which records, and which segments still have pending records.
//!
//! A record's lock may be taken while the tracker's lock is held. A queue's lock is never held together with the
//! tracker's.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pyrotee_queue::lock;
use pyrotee_segments::{File, NumberSet, TargetId};

use crate::segments::Segments;
use crate::wakeup::WriterWakeup;

/// Tracks the settled records of every target, and the segments that still have pending records.
#[derive(Debug)]
pub(crate) struct SettlementTracker {
    state: Mutex<TrackerState>,
    /// Number of settlements after which the writer is woken to save the cursors.
    pub(crate) save_every: u64,
    pub(crate) wakeup: WriterWakeup,
}

/// The state that a restart needs besides the records themselves.
#[derive(Debug, Default)]
pub(crate) struct TrackerState {
    /// One cursor per target: the configured targets in their order, then the removed targets.
    pub(crate) cursors: Vec<Cursor>,
    pub(crate) segments: Segments,
    /// Numbers in segments that could not be read for which it is unknown whether there is a record.
    pub(crate) unknown: NumberSet,
    /// Settlements since the cursors were last saved.
    pub(crate) unsaved: u64,
}

/// How far a target is: the records that it has settled.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) id: TargetId,
    pub(crate) name: String,
    pub(crate) settled: NumberSet,
    /// `None`: the target is configured.
    pub(crate) removal: Option<Removal>,
    /// The saved cursors do not list the target. No missing record of an earlier process counts as lost for it.
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
    pub(crate) fn takes(&self, number: u64) -> bool {
        let is_for_it = self.removal.is_none_or(|it| number < it.horizon);
        is_for_it && !self.settled.contains(number)
    }
}

impl SettlementTracker {
    /// The tracker of a spool that is not open yet, with targets of these names.
    pub(crate) fn new(names: &[String], save_every: u64, min_sleep: Duration) -> Self {
        let cursor = |name: &String| Cursor {
            id: TargetId::default(),
            name: name.clone(),
            settled: NumberSet::default(),
            removal: None,
            is_new: false,
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

    /// Replaces the state with `opened`, which was recovered from the files. Lowers the numbers of the records that
    /// were settled before the spool was open by `by`; `renumber` does so for the records that are not written yet.
    pub(crate) fn open(&self, mut opened: TrackerState, by: u64, renumber: impl FnOnce()) {
        let mut state = self.lock();
        for (opened, cursor) in opened.cursors.iter_mut().zip(&state.cursors) {
            for settled in cursor.settled.ranges() {
                opened.settled.insert(settled.start - by..settled.end - by);
            }
        }
        renumber();
        opened.unsaved += state.unsaved;
        *state = opened;
    }

    /// Reads or changes the state under its lock.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut TrackerState) -> T) -> T {
        change(&mut self.lock())
    }

    /// Locks the state. The lock of a record may be taken while it is held.
    pub(crate) fn lock(&self) -> MutexGuard<'_, TrackerState> {
        lock(&self.state)
    }

    /// The open file of a segment. `None`: the segment was removed, or could not be read yet.
    pub(crate) fn file(&self, segment: u64) -> Option<Arc<dyn File>> {
        let tracker = lock(&self.state);
        tracker.segments.get(segment)?.file.clone()
    }
}
