//! What the queues hold in a record's place.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use pyrotee_queue::{QueuedRecord, Reason, Record, SurfaceId, lock};

use crate::book::Book;

/// One record, for all its targets.
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) surface: SurfaceId,
    pub(crate) received: SystemTime,
    /// Length of the body.
    pub(crate) bytes: u64,
    pub(crate) book: Arc<Book>,
    pub(crate) state: Mutex<EntryState>,
}

#[derive(Debug)]
pub(crate) struct EntryState {
    /// Targets that have not settled it.
    pub(crate) claims: u32,
    /// A target has taken it, or it will be taken by none: there is nothing that a disk could keep.
    pub(crate) judged: bool,
    pub(crate) place: Place,
}

/// Where a record is.
#[derive(Debug)]
pub(crate) enum Place {
    /// It waits to be written.
    Memory(Arc<Record>),
    /// In a segment; and in memory as well, while somebody is delivering it.
    Disk {
        location: Location,
        shared: Weak<Record>,
    },
    /// Nobody wants it any more.
    Gone,
}

/// A place in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Location {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// Length of what comes before the body.
    pub(crate) before_body: u32,
}

/// One target's share of an entry.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) entry: Arc<Entry>,
    pub(crate) target: u16,
}

/// Where a lease finds its record.
#[derive(Debug)]
pub(crate) enum Lookup {
    Here(Arc<Record>),
    There(Location),
    Nowhere,
}

impl Entry {
    pub(crate) fn lookup(&self) -> Lookup {
        match &lock(&self.state).place {
            Place::Memory(record) => Lookup::Here(Arc::clone(record)),
            Place::Disk { location, shared } => match shared.upgrade() {
                Some(record) => Lookup::Here(record),
                None => Lookup::There(*location),
            },
            Place::Gone => Lookup::Nowhere,
        }
    }

    /// Others that lease it now need not read it.
    pub(crate) fn share(&self, record: &Arc<Record>) {
        if let Place::Disk { shared, .. } = &mut lock(&self.state).place {
            *shared = Arc::downgrade(record);
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        lock(&self.state).claims > 0
    }
}

impl QueuedRecord for Claim {
    fn surface(&self) -> SurfaceId {
        self.entry.surface
    }

    fn received(&self) -> SystemTime {
        self.entry.received
    }

    fn len(&self) -> u64 {
        self.entry.bytes
    }

    fn settled(&self, lost: Option<Reason>) {
        self.entry.book.settle(&self.entry, self.target, lost);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
