//! The files of a spool directory, and the targets that they mention.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Directory, InspectError};
use crate::format::{
    Cursors, FormatError, Names, NumberSet, TargetId, is_spool_file, quarantined_segment_of,
    salt_and_names, segment_of,
};
use crate::storage::LockState;

/// The files of a spool directory at the instant at which they were listed.
#[derive(Debug)]
pub(super) struct Listing {
    /// Whether a relay has the spool open.
    pub(super) in_use: bool,
    pub(super) cursors: Cursors,
    pub(super) bad_slots: Vec<BadSlot>,
    /// In the order of their numbers.
    pub(super) segments: Vec<SegmentFile>,
    pub(super) quarantined: Vec<SegmentFile>,
    /// Names and lengths of files that no spool has written.
    pub(super) foreign: Vec<(String, u64)>,
    /// The salt for segments whose own head cannot be read.
    pub(super) salt: u64,
    names: Names,
}

/// A cursor slot that cannot be read.
#[derive(Debug)]
pub(super) struct BadSlot {
    pub(super) name: &'static str,
    pub(super) len: u64,
    pub(super) error: FormatError,
}

/// A segment as a file in the directory.
#[derive(Debug, Clone)]
pub(super) struct SegmentFile {
    pub(super) name: String,
    pub(super) len: u64,
    /// Numbers of the records that may be in it. The last segment has no known end.
    pub(super) numbers: Range<u64>,
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

impl SegmentFile {
    /// Whether this is the last segment, the only one that a process may be writing or have been writing.
    pub(super) fn is_last(&self) -> bool {
        self.numbers.end == u64::MAX
    }
}

impl Listing {
    /// Lists the directory, and reads the cursors and the heads of segments.
    ///
    /// # Errors
    /// The directory is no spool or cannot be read.
    pub(super) fn of(directory: &Directory) -> Result<Self, InspectError> {
        let storage = &*directory.storage;
        let failed = |source| InspectError::Io {
            path: directory.dir.clone(),
            source,
        };
        let lock = storage.lock_state().map_err(failed)?;
        let files: BTreeMap<_, _> = storage.list().map_err(failed)?.into_iter().collect();
        let (cursors, bad_slots) = directory.cursors(&files)?;
        let (mut segments, mut quarantined, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        for (name, len) in files {
            let segment = |first| SegmentFile {
                name: name.clone(),
                len,
                numbers: first..u64::MAX,
            };
            if let Some(first) = segment_of(&name) {
                segments.push(segment(first));
            } else if let Some(first) = quarantined_segment_of(&name) {
                quarantined.push(segment(first));
            } else if !is_spool_file(&name) {
                foreign.push((name, len));
            }
        }
        let is_spool = lock != LockState::Absent || cursors.is_some() || !bad_slots.is_empty();
        if !is_spool && segments.is_empty() && quarantined.is_empty() {
            let dir = directory.dir.clone();
            return Err(InspectError::NoSpool { dir });
        }
        let ends: Vec<_> = segments.iter().map(|it| it.numbers.start).collect();
        for (segment, end) in segments.iter_mut().zip(ends.into_iter().skip(1)) {
            segment.numbers.end = end;
        }
        // A head that cannot be read is reported when the segment is scanned.
        let heads = segments.iter().chain(&quarantined).filter_map(|segment| {
            let opened = directory.open(&segment.name).ok().flatten();
            opened?.head.ok()
        });
        let heads: Vec<_> = heads.collect();
        let heads: Vec<_> = heads.iter().map(|(head, _)| head).collect();
        let (salt, names) = salt_and_names(&heads, cursors.as_ref());
        Ok(Self {
            in_use: lock == LockState::Held,
            cursors: cursors.unwrap_or_default(),
            bad_slots,
            segments,
            quarantined,
            foreign,
            salt: salt.unwrap_or_default(),
            names,
        })
    }

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
        self.names.iter().map(target).collect()
    }
}

impl ListedTarget {
    /// Whether the record with this number and these takers is pending for the target.
    pub(super) fn wants(&self, number: u64, takers: &[TargetId]) -> bool {
        takers.contains(&self.id) && !self.settled.contains(number)
    }
}
