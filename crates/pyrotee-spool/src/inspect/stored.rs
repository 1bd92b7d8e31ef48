//! Records as they lie in a spool, to be read one by one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::{Budget, Record};

use super::listing::View;
use super::{Directory, InspectError};
use crate::entry::Location;
use crate::format::{Crc, Fault};
use crate::reader;
use crate::storage::File;

/// Which records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// Those that a target waits for.
    Pending,
    /// Those in damaged segments that were set aside, whoever has them.
    Quarantined,
}

/// A record on disk whose head is whole.
pub struct Stored {
    /// Its number.
    pub number: u64,
    /// When it was received.
    pub received: SystemTime,
    /// Length of its body.
    pub bytes: u64,
    /// The names of those that wait for it, or that had taken it if it was set aside.
    pub targets: Vec<String>,
    /// The name of the file that it lies in.
    pub file: String,
    opened: Arc<dyn File>,
    location: Location,
    crc: Crc,
}

impl Directory {
    /// Shows every selected record to `visit`, in the order of their numbers, until it fails.
    ///
    /// # Errors
    /// It is no spool, a newer pyrotee wrote it, the disk does not give it; and what `visit` says.
    pub fn each<E: From<InspectError>>(
        &self,
        select: Select,
        mut visit: impl FnMut(Stored) -> Result<(), E>,
    ) -> Result<(), E> {
        let listing = self.readable_listing()?;
        let views = listing.views();
        let (segments, all) = match select {
            Select::Pending => (&listing.segments, false),
            Select::Quarantined => (&listing.quarantined, true),
        };
        for segment in segments {
            let scanned = self.scan(&listing, segment, None);
            let scanned = scanned.map_err(|source| self.failed(&segment.file, source))?;
            let Some(scanned) = scanned else { continue };
            if let Some(Fault::Newer(version)) = scanned.fault {
                return Err(self.newer(&segment.file, version).into());
            }
            for found in scanned.scan.found.into_iter().filter(|found| found.whole) {
                let wants = |view: &&View| match all {
                    true => found.takers.contains(&view.id),
                    false => view.wants(found.number, &found.takers),
                };
                let targets: Vec<_> = views.iter().filter(wants).collect();
                if targets.is_empty() && !all {
                    continue;
                }
                visit(Stored {
                    number: found.number,
                    received: found.received,
                    bytes: found.bytes,
                    targets: targets.iter().map(|view| view.name.clone()).collect(),
                    file: segment.file.clone(),
                    opened: Arc::clone(&scanned.file),
                    location: Location {
                        segment: segment.numbers.start,
                        offset: found.offset,
                        before_body: found.before_body,
                    },
                    crc: scanned.crc,
                })?;
            }
        }
        Ok(())
    }
}

impl Stored {
    /// Reads it; `None` if its body is not what was written.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read(&self, budget: &Arc<Budget>) -> io::Result<Option<Arc<Record>>> {
        let reservation = budget.reserve(self.bytes);
        let reservation = reservation.ok_or(io::ErrorKind::OutOfMemory)?;
        let (number, bytes) = (self.number, self.bytes);
        reader::read(
            &*self.opened,
            self.location,
            number,
            bytes,
            reservation,
            self.crc,
        )
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("number", &self.number)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
