//! Who has settled what, and which segments that leaves in use.
//!
//! Its lock is taken under a queue's lock, and takes an entry's: nothing else may be taken under it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use pyrotee_queue::{Reason, Record};

use crate::bell::Bell;
use crate::entry::{Entry, Location, Place};
use crate::format::{SavedCursor, TargetId};
use crate::lock;
use crate::settled::Settled;

/// The state that a restart needs, beside the records.
#[derive(Debug)]
pub(crate) struct Book {
    state: Mutex<Ledgers>,
    save_every: u64,
    /// Wakes the writer.
    pub(crate) bell: Bell,
}

#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    pub(crate) cursors: Vec<Cursor>,
    pub(crate) orphans: Vec<Orphan>,
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Settlements since cursors were last saved.
    pub(crate) unsaved: u64,
}

/// How far a target of this process is.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) id: TargetId,
    pub(crate) name: String,
    pub(crate) settled: Settled,
}

/// A target that has left the configuration.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) saved: SavedCursor,
    /// What it has not settled, by segment.
    pub(crate) pending: BTreeMap<u64, u64>,
}

/// A file of records.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    pub(crate) bytes: u64,
    /// Claims on its records.
    pub(crate) pending: u64,
    /// Nothing is appended any more.
    pub(crate) closed: bool,
    /// Something in it is not what was written.
    pub(crate) damaged: bool,
}

impl Segment {
    pub(crate) fn is_done(&self) -> bool {
        self.closed && self.pending == 0
    }
}

impl Book {
    pub(crate) fn new(save_every: u64) -> Self {
        Self {
            state: Mutex::default(),
            save_every,
            bell: Bell::default(),
        }
    }

    /// Looks at or changes it under its lock.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Ledgers) -> T) -> T {
        change(&mut lock(&self.state))
    }

    /// A target is done with a record.
    pub(crate) fn settle(&self, entry: &Entry, target: u16, lost: Option<Reason>) {
        let mut book = lock(&self.state);
        let mut state = lock(&entry.state);
        if let Some(cursor) = book.cursors.get_mut(usize::from(target)) {
            cursor.settled.insert(entry.number..entry.number + 1);
        }
        state.claims = state.claims.saturating_sub(1);
        state.sent |= lost.is_none();
        let mut unneeded = None;
        let mut done = false;
        match &state.place {
            Place::Disk { location, .. } => {
                if let Some(segment) = book.segments.get_mut(&location.segment) {
                    segment.pending = segment.pending.saturating_sub(1);
                    done = segment.is_done();
                }
            }
            Place::Memory(_) | Place::Gone => {}
        }
        if state.claims == 0 {
            unneeded = Some(std::mem::replace(&mut state.place, Place::Gone));
        }
        book.unsaved += 1;
        let save = book.unsaved >= self.save_every;
        drop(state);
        drop(book);
        drop(unneeded);
        if save || done {
            self.bell.ring();
        }
    }

    /// What of an entry is still to be written, and for whom.
    pub(crate) fn wanting(&self, entry: &Entry) -> Option<(Arc<Record>, Vec<TargetId>)> {
        let book = lock(&self.state);
        let state = lock(&entry.state);
        let Place::Memory(record) = &state.place else {
            return None;
        };
        let wanting = book
            .cursors
            .iter()
            .filter(|cursor| !cursor.settled.contains(entry.number));
        let takers = wanting.map(|cursor| cursor.id).collect();
        Some((Arc::clone(record), takers))
    }

    /// An entry was written: its body leaves memory.
    pub(crate) fn place(&self, entry: &Entry, location: Location) {
        let mut book = lock(&self.state);
        let mut state = lock(&entry.state);
        if state.claims == 0 {
            return;
        }
        if let Some(segment) = book.segments.get_mut(&location.segment) {
            segment.pending += u64::from(state.claims);
        }
        let held = std::mem::replace(&mut state.place, Place::Gone);
        let shared = match &held {
            Place::Memory(record) => Arc::downgrade(record),
            Place::Disk { .. } | Place::Gone => Weak::new(),
        };
        state.place = Place::Disk { location, shared };
        drop(state);
        drop(book);
        drop(held);
    }

    /// Marks a segment as not to be unlinked.
    pub(crate) fn damage(&self, segment: u64) {
        if let Some(segment) = lock(&self.state).segments.get_mut(&segment) {
            segment.damaged = true;
        }
    }
}

impl Ledgers {
    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// Claims on all records on disk.
    pub(crate) fn pending(&self) -> u64 {
        self.segments.values().map(|segment| segment.pending).sum()
    }
}

impl Orphan {
    /// Its claims on a segment that goes; how many, if any. Numbers below `end` are settled with it.
    pub(crate) fn lose_segment(&mut self, segment: u64, end: u64) -> Option<u64> {
        self.saved.settled.insert(0..end.min(self.saved.horizon));
        self.pending.remove(&segment)
    }
}
