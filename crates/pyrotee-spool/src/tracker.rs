//! Which target has settled which records, and which segments still have pending records.
//!
//! A record's lock may be taken while the tracker's lock is held. A queue's lock is never held together with the
//! tracker's.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pyrotee_queue::lock;
use pyrotee_segments::{File, Names, NumberSet, TargetId};

use crate::segments::Segments;
use crate::wakeup::WriterWakeup;

/// The number of the first record that is offered before the directory is open.
pub(crate) const PROVISIONAL: u64 = 1 << 62;

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
    /// One cursor per target that is or was in force, or has records of an earlier process. The list only grows.
    pub(crate) cursors: Vec<Cursor>,
    /// The names of all targets that the files mention or will mention. `None`: the spool is not open yet.
    pub(crate) names: Option<Names>,
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
    /// `None`: the target is in force.
    pub(crate) removal: Option<Removal>,
    /// A missing record of an earlier process counts as lost for the target only if its number is below this one: from
    /// here on the saved cursors do not tell whether the target was a taker.
    pub(crate) described_below: u64,
}

/// When a target was removed from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Removal {
    /// When a reload removed the target, or when the first process without the target started, in seconds since the
    /// epoch.
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

impl TrackerState {
    /// The number of a target in the files, which the target keeps. Before the spool is open there is none yet.
    pub(crate) fn id_of(&mut self, name: &str) -> TargetId {
        let names = self.names.as_mut();
        names.map_or_else(TargetId::default, |names| id_of(name, names))
    }

    /// Adds a cursor for each target that joins, and notes which targets are removed and which return. `joining`: names,
    /// and what [`TrackerState::id_of`] returned for them. `is_in_force` tells whether the target with an index is in the list.
    /// `next`: the number of the next record. `now`: in seconds since
    /// the epoch.
    pub(crate) fn put_in_force(
        &mut self,
        joining: Vec<(String, TargetId)>,
        is_in_force: impl Fn(usize) -> bool,
        next: u64,
        now: u64,
    ) {
        // The records of this process before `next`, and those of earlier processes, are not for a target that joins.
        let first = match self.names {
            Some(_) => 0,
            None => PROVISIONAL,
        };
        for (name, id) in joining {
            let mut settled = NumberSet::default();
            settled.insert(first..next);
            self.cursors.push(Cursor {
                id,
                name,
                settled,
                removal: None,
                described_below: 0,
            });
            self.unsaved += 1;
        }
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            match (is_in_force(index), cursor.removal) {
                (true, Some(removal)) => {
                    cursor.settled.insert(removal.horizon..next);
                    cursor.removal = None;
                }
                (false, None) => {
                    cursor.removal = Some(Removal {
                        since: now,
                        horizon: next,
                    });
                }
                (true, None) | (false, Some(_)) => continue,
            }
            self.unsaved += 1;
        }
    }
}

/// The number of a target in the files. A target that has none is added to `names`.
pub(crate) fn id_of(name: &str, names: &mut Names) -> TargetId {
    let known = names.iter().find(|(_, known)| *known == name);
    let next = || match names.last_key_value() {
        Some((last, _)) => last.checked_add(1),
        None => Some(0),
    };
    let free = || (0..TargetId::MAX).find(|id| !names.contains_key(id));
    let id = known.map(|(id, _)| *id).or_else(next).or_else(free);
    let id = id.unwrap_or(TargetId::MAX);
    names.insert(id, name.to_owned());
    id
}

impl SettlementTracker {
    /// The tracker of a spool that is not open yet and has no targets.
    pub(crate) fn new(save_every: u64, min_sleep: Duration) -> Self {
        Self {
            state: Mutex::default(),
            save_every,
            wakeup: WriterWakeup::new(min_sleep),
        }
    }

    /// Replaces the state with `opened`, which was recovered from the files and begins with the cursors of the targets
    /// of this process. Lowers the numbers of the records that were settled before the spool was open, and the horizons
    /// of targets that were removed before, by `by`; `renumber` does so for the records that are not written yet.
    pub(crate) fn open(&self, mut opened: TrackerState, by: u64, renumber: impl FnOnce()) {
        let mut state = self.lock();
        for (opened, cursor) in opened.cursors.iter_mut().zip(&state.cursors) {
            for settled in cursor.settled.ranges() {
                opened.settled.insert(settled.start - by..settled.end - by);
            }
            opened.removal = cursor.removal.map(|removal| Removal {
                horizon: removal.horizon - by,
                ..removal
            });
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
