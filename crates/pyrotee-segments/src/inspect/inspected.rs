//! The files of a spool directory at one instant, and the targets that the files mention.

use super::{Directory, InspectError};
use crate::directory::{ListError, Listing, ScannedSegment, SegmentFile};
use crate::format::{Cursors, NumberSet, TargetId};
use crate::storage::LockState;

/// A spool directory at the instant at which it was listed.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) listing: Listing,
    pub(super) cursors: Cursors,
    /// Whether a relay has the spool open.
    pub(super) in_use: bool,
}

/// A target that the files mention, and how far it is.
#[derive(Debug, Clone)]
pub(super) struct ListedTarget {
    pub(super) id: TargetId,
    pub(super) name: String,
    pub(super) settled: NumberSet,
    pub(super) horizon: u64,
    pub(super) in_flight: u64,
    /// Whether the target was configured when the cursors were last saved. `None`: it has no cursor.
    pub(super) is_configured: Option<bool>,
}

impl Directory {
    /// Lists the directory.
    ///
    /// # Errors
    /// The directory is no spool or cannot be read.
    pub(super) fn look(&self) -> Result<Inspected, InspectError> {
        let lock = self.storage.lock_state();
        let lock = lock.map_err(|source| self.failed("", source))?;
        let mut listing = Listing::of(&*self.storage, || Ok(()))
            .map_err(|ListError { file, source }| self.failed(file.unwrap_or_default(), source))?;
        let has_slot = listing.saved.is_some() || !listing.bad_slots.is_empty();
        let has_segment = !listing.segments.is_empty() || !listing.quarantined.is_empty();
        if lock == LockState::Absent && !has_slot && !has_segment {
            let dir = self.dir.clone();
            return Err(InspectError::NoSpool { dir });
        }
        let saved = listing.saved.take();
        Ok(Inspected {
            cursors: saved.map(|(_, cursors)| cursors).unwrap_or_default(),
            in_use: lock == LockState::Held,
            listing,
        })
    }

    /// Lists the directory, unless a newer pyrotee wrote a file in it.
    ///
    /// # Errors
    /// The directory is no spool or cannot be read, or a newer pyrotee wrote a file in it.
    pub(super) fn look_at_readable(&self) -> Result<Inspected, InspectError> {
        let found = self.look()?;
        match found.listing.newer() {
            None => Ok(found),
            Some((file, version)) => Err(InspectError::Newer {
                file: self.dir.join(file),
                version,
            }),
        }
    }

    /// Reads a segment without the bodies of its records. `None`: the file does not exist any more.
    pub(super) fn scan(
        &self,
        found: &Inspected,
        segment: &SegmentFile,
    ) -> Result<Option<ScannedSegment>, InspectError> {
        let salt = found.listing.salt.unwrap_or_default();
        let scanned = segment.scan(&*self.storage, salt, false, None);
        scanned.map_err(|source| self.failed(&segment.name, source))
    }
}

impl Inspected {
    /// All targets that the files mention, and how far each is.
    pub(super) fn targets(&self) -> Vec<ListedTarget> {
        let last_seen = self.cursors.last_seen();
        let target = |(id, name): (&TargetId, &String)| {
            let saved = self.cursors.of_target(*id, name);
            let is_configured = saved.map(|saved| Some(saved.last_seen) == last_seen);
            let saved = saved.cloned().unwrap_or_default();
            ListedTarget {
                id: *id,
                name: name.clone(),
                settled: saved.settled,
                horizon: saved.horizon,
                in_flight: saved.in_flight.len() as u64,
                is_configured,
            }
        };
        self.listing.names.iter().map(target).collect()
    }
}

impl ListedTarget {
    /// Whether the record with this number and these takers is pending for the target.
    pub(super) fn wants(&self, number: u64, takers: &[TargetId]) -> bool {
        takers.contains(&self.id) && !self.settled.contains(number)
    }
}
