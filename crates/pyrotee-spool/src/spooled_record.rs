//! A record of the spool as the queues hold it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use pyrotee_queue::{QueuedRecord, Reason, Record, SurfaceId, lock};
use pyrotee_segments::{SegmentPosition, TargetId};

use crate::tracker::SettlementTracker;

/// The entry in memory for one record, shared by all targets until every target has settled the record.
pub(crate) struct SpooledRecord {
    /// The number of the record. It changes once, under the lock of the tracker, if the record is offered before the
    /// spool is open.
    pub(crate) number: AtomicU64,
    pub(crate) surface: SurfaceId,
    pub(crate) received: SystemTime,
    /// Length of the body, in bytes.
    pub(crate) bytes: u64,
    pub(crate) tracker: Arc<SettlementTracker>,
    pub(crate) state: Mutex<SpooledState>,
}

#[derive(Debug)]
pub(crate) struct SpooledState {
    /// Number of targets that have not settled the record.
    pub(crate) claims: u32,
    /// A target acknowledged or rejected the record before it was written.
    pub(crate) resolved: bool,
    pub(crate) location: RecordLocation,
}

/// Where the content of a record is.
#[derive(Debug)]
pub(crate) enum RecordLocation {
    /// In memory, not written yet.
    Memory(Arc<Record>),
    /// In a segment. While leases own the content, `cached` finds it in memory too.
    Disk {
        position: SegmentPosition,
        cached: Weak<Record>,
    },
    /// Released, because every target has settled the record.
    Released,
}

/// One target's claim on a spooled record: the element of that target's queue.
#[derive(Debug, Clone)]
pub(crate) struct RecordClaim {
    pub(crate) record: Arc<SpooledRecord>,
    /// Index of the target's queue and cursor.
    pub(crate) target: u16,
}

/// Where a lease gets the record from.
#[derive(Debug)]
pub(crate) enum Lookup {
    Memory(Arc<Record>),
    Disk(SegmentPosition),
    Released,
}

impl SpooledRecord {
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    /// Lowers the number by `by`.
    pub(crate) fn renumber(&self, by: u64) {
        self.number.fetch_sub(by, Relaxed);
    }

    pub(crate) fn lookup(&self) -> Lookup {
        match &lock(&self.state).location {
            RecordLocation::Memory(record) => Lookup::Memory(Arc::clone(record)),
            RecordLocation::Disk { position, cached } => match cached.upgrade() {
                Some(record) => Lookup::Memory(record),
                None => Lookup::Disk(*position),
            },
            RecordLocation::Released => Lookup::Released,
        }
    }

    /// Keeps a reference to a record that was read, for other targets that lease it at the same time.
    pub(crate) fn cache(&self, record: &Arc<Record>) {
        if let RecordLocation::Disk { cached, .. } = &mut lock(&self.state).location {
            *cached = Arc::downgrade(record);
        }
    }

    /// Settles the record for one target. `lost`: why the record was dropped; `None`: it was acknowledged.
    fn settle(&self, target: u16, lost: Option<Reason>) {
        let mut tracker = self.tracker.lock();
        let mut state = lock(&self.state);
        if let Some(cursor) = tracker.cursors.get_mut(usize::from(target)) {
            let number = self.number();
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
        // The first unsaved settlement starts the time after which the cursors are saved at the latest.
        let save = tracker.unsaved == 1 || tracker.unsaved >= self.tracker.save_every;
        drop(state);
        drop(tracker);
        // Frees the body, after the locks.
        drop(released);
        if save || done {
            self.tracker.wakeup.notify();
        }
    }

    /// The record to be written and the targets that have not settled it. `None`: all targets have settled the record,
    /// or it is written.
    pub(crate) fn unsettled(&self) -> Option<(Arc<Record>, Vec<TargetId>)> {
        let tracker = self.tracker.lock();
        let state = lock(&self.state);
        let RecordLocation::Memory(body) = &state.location else {
            return None;
        };
        let unsettled = tracker
            .cursors
            .iter()
            .filter(|cursor| cursor.takes(self.number()));
        let takers = unsettled.map(|cursor| cursor.id).collect();
        Some((Arc::clone(body), takers))
    }

    /// Notes that the record was written, and releases its body from memory.
    pub(crate) fn written(&self, position: SegmentPosition) {
        let mut tracker = self.tracker.lock();
        let mut state = lock(&self.state);
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

    /// Whether a target has not settled the record.
    pub(crate) fn is_claimed(&self) -> bool {
        lock(&self.state).claims > 0
    }
}

impl QueuedRecord for RecordClaim {
    fn surface(&self) -> SurfaceId {
        self.record.surface
    }

    fn received(&self) -> SystemTime {
        self.record.received
    }

    fn len(&self) -> u64 {
        self.record.bytes
    }

    fn settled(&self, lost: Option<Reason>) {
        self.record.settle(self.target, lost);
    }
}

impl fmt::Debug for SpooledRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpooledRecord")
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}
