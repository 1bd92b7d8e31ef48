//! Who has settled what, and which segments that leaves in use.
//!
//! Its lock takes an entry's; it is never taken together with a queue's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use pyrotee_queue::{Reason, Record, Tally, lock};

use crate::bell::Bell;
use crate::entry::{Entry, Location, Place};
use crate::format::{SavedCursor, TargetId};
use crate::recovery::Found;
use crate::segments::Segments;
use crate::settled::Settled;
use crate::storage::File;

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
    pub(crate) segments: Segments,
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
    pub(crate) pending: BTreeMap<u64, Share>,
}

/// What an orphan has not settled of one segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) tally: Tally,
    pub(crate) oldest: Option<SystemTime>,
}

impl Share {
    pub(crate) fn add(&mut self, bytes: u64, received: SystemTime) {
        self.tally.profiles += 1;
        self.tally.bytes += bytes;
        self.oldest = Some(self.oldest.map_or(received, |oldest| oldest.min(received)));
    }
}

impl Book {
    pub(crate) fn new(save_every: u64, rest: Duration) -> Self {
        Self {
            state: Mutex::default(),
            save_every,
            bell: Bell::new(rest),
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
        state.judged |= matches!(lost, None | Some(Reason::Rejected | Reason::Undecodable));
        let mut unneeded = None;
        let mut done = false;
        match &state.place {
            Place::Disk { location, .. } => done = book.segments.release(location.segment, 1),
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
        book.segments
            .claim(location.segment, u64::from(state.claims));
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

    /// Where the records of a segment are read from, while there is one.
    pub(crate) fn file(&self, segment: u64) -> Option<Arc<dyn File>> {
        let book = lock(&self.state);
        book.segments.get(segment)?.file.clone()
    }
}

impl Ledgers {
    /// Targets that have left and have records here.
    pub(crate) fn orphans(&self) -> impl Iterator<Item = &Orphan> {
        self.orphans
            .iter()
            .filter(|orphan| !orphan.pending.is_empty())
    }

    /// Loses what waits for the orphans that are `condemned`: their names, and how much each lost.
    pub(crate) fn lose_orphans(
        &mut self,
        condemned: impl Fn(&Orphan) -> bool,
    ) -> Vec<(String, Tally)> {
        let mut lost = Vec::new();
        for orphan in &mut self.orphans {
            if orphan.pending.is_empty() || !condemned(orphan) {
                continue;
            }
            let mut tally = Tally::default();
            for (segment, share) in orphan.lose_all() {
                tally.profiles += share.tally.profiles;
                tally.bytes += share.tally.bytes;
                self.segments.release(segment, share.tally.profiles);
            }
            self.unsaved += 1;
            lost.push((orphan.saved.name.clone(), tally));
        }
        lost
    }
}

impl Orphan {
    /// Its claims on a segment that goes, if any. Numbers below `end` are settled with it.
    pub(crate) fn lose_segment(&mut self, segment: u64, end: u64) -> Option<Share> {
        self.saved.settled.insert(0..end.min(self.saved.horizon));
        self.pending.remove(&segment)
    }

    /// It is done with one record of a segment. Records are settled in the order of their receipt.
    pub(crate) fn settle(&mut self, found: &Found, segment: u64) {
        self.saved.settled.insert(found.number..found.number + 1);
        if let Some(share) = self.pending.get_mut(&segment) {
            share.tally.profiles = share.tally.profiles.saturating_sub(1);
            share.tally.bytes = share.tally.bytes.saturating_sub(found.bytes);
            share.oldest = Some(found.received);
            if share.tally.profiles == 0 {
                self.pending.remove(&segment);
            }
        }
    }

    /// Everything is settled; what was not, by segment. The cursor stays: as long as files list this
    /// target as a taker, the next start must know that it wants nothing of them.
    pub(crate) fn lose_all(&mut self) -> BTreeMap<u64, Share> {
        self.saved.settled.insert(0..self.saved.horizon);
        std::mem::take(&mut self.pending)
    }
}
