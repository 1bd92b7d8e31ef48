//! The records of a spool directory, one by one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::{Budget, Record};

use super::inspected::ListedTarget;
use super::{Directory, InspectError};
use crate::directory::{SegmentPosition, read_record};
use crate::format::Crc;
use crate::storage::File;

/// Selects the records that [`Directory::each`] visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Records that are pending for at least one target.
    Pending,
    /// Records in quarantined segments, whether a target still needs them or not.
    Quarantined,
}

/// A record on disk. Its head is whole; its body is not read yet.
pub struct StoredRecord {
    /// The number of the record.
    pub number: u64,
    /// When the record was received.
    pub received: SystemTime,
    /// Length of its body, in bytes.
    pub bytes: u64,
    /// The names of the targets that the record is pending for. In a quarantined segment: the names of all targets
    /// that had queued and not settled the record when it was written.
    pub targets: Vec<String>,
    /// The name of the file that contains the record.
    pub file: String,
    opened: Arc<dyn File>,
    position: SegmentPosition,
    crc: Crc,
}

impl Directory {
    /// Calls `visit` for every selected record, in the order of their numbers, until `visit` fails.
    ///
    /// # Errors
    /// The directory is no spool, a newer pyrotee wrote it, or it cannot be read; or `visit` fails.
    pub fn each<E: From<InspectError>>(
        &self,
        selection: Selection,
        mut visit: impl FnMut(StoredRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let found = self.look_at_readable()?;
        let all_targets = found.targets();
        let (segments, all) = match selection {
            Selection::Pending => (&found.listing.segments, false),
            Selection::Quarantined => (&found.listing.quarantined, true),
        };
        for segment in segments {
            let Some(scanned) = self.scan(&found, segment)? else {
                continue;
            };
            for record in scanned.scan.records.into_iter().filter(|it| it.whole) {
                let wants = |target: &&ListedTarget| match all {
                    true => record.takers.contains(&target.id),
                    false => target.wants(record.number, &record.takers),
                };
                let targets: Vec<_> = all_targets.iter().filter(wants).collect();
                if targets.is_empty() && !all {
                    continue;
                }
                visit(StoredRecord {
                    number: record.number,
                    received: record.received,
                    bytes: record.bytes,
                    targets: targets.iter().map(|target| target.name.clone()).collect(),
                    file: segment.name.clone(),
                    opened: Arc::clone(&scanned.file),
                    position: record.position(segment.numbers.start),
                    crc: scanned.crc,
                })?;
            }
        }
        Ok(())
    }
}

impl StoredRecord {
    /// Reads the record. `None`: its body is damaged.
    ///
    /// # Errors
    /// The operating system cannot read the file, or `budget` has no room for the body.
    pub fn read(&self, budget: &Arc<Budget>) -> io::Result<Option<Arc<Record>>> {
        let reservation = budget.reserve(self.bytes);
        let reservation = reservation.ok_or(io::ErrorKind::OutOfMemory)?;
        let (number, bytes) = (self.number, self.bytes);
        read_record(
            &*self.opened,
            self.position,
            number,
            bytes,
            reservation,
            self.crc,
        )
    }
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("number", &self.number)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
