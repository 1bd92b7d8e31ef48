//! Recovers the records that earlier processes left in the directory.
//!
//! Recovery deletes no file, and damage is not an error. A segment that the operating system does not return is left
//! unchanged, to be read later. The start fails only if another process uses the spool, a newer pyrotee wrote it, or
//! the directory, the cursors or, without cursors, a segment cannot be read.

mod adopt;
mod backlog;
mod cursors;
mod numbers;
mod read_segment;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::Tally;
use pyrotee_segments::{
    Cursors, ListError, Listing, Names, OnDemand, SegmentFile, Storage, foreign_file, segment_name,
};
use tracing::{info, warn};

use crate::lifecycle::Lifecycle;
use crate::settings::{OpenError, Settings};
pub(crate) use backlog::{Backlog, adopt_late};
use numbers::next_number;
pub(crate) use read_segment::ReadSegment;

/// What recovery found in the directory.
#[derive(Debug)]
pub(crate) struct RecoveredSpool {
    pub(crate) salt: u64,
    pub(crate) names: Names,
    pub(crate) cursors: Cursors,
    /// The slot that the cursors were read from.
    pub(crate) slot: usize,
    pub(crate) segments: Vec<RecoveredSegment>,
    /// Quarantined segments: their number, and their bytes.
    pub(crate) quarantined: Tally,
}

/// A segment of an earlier process.
#[derive(Debug)]
pub(crate) struct RecoveredSegment {
    /// Numbers of the records that may be in the segment. The last segment has no known end (`u64::MAX`).
    pub(crate) numbers: Range<u64>,
    /// Length of the file when the directory was listed, in bytes.
    pub(crate) len: u64,
    /// When the file was last written to. `None`: the operating system does not tell.
    pub(crate) modified: Option<SystemTime>,
    /// The content of the segment. `None`: the operating system cannot read the file.
    pub(crate) read: Option<ReadSegment>,
}

impl RecoveredSpool {
    /// The number of the next record, above all numbers that earlier processes may have given out.
    pub(crate) fn next_number(&self) -> u64 {
        next_number(self)
    }

    /// Ends the gaps of damaged segments where no record can be.
    fn end_gaps(&mut self) {
        // If the spool was closed, no record was written after the cursors.
        let end = match self.cursors.clean {
            true => self.cursors.horizon(),
            false => self.next_number(),
        };
        for read in self.segments.iter_mut().filter_map(|it| it.read.as_mut()) {
            read.scan.end_gaps(end);
        }
    }
}

impl RecoveredSegment {
    pub(crate) fn first(&self) -> u64 {
        self.numbers.start
    }

    /// Whether this is the last segment, the only one that a process may have been writing when it was killed.
    pub(crate) fn is_last(&self) -> bool {
        self.numbers.end == u64::MAX
    }
}

/// Locks the directory, and reads cursors and segments.
pub(crate) fn read(
    storage: &Arc<dyn Storage>,
    settings: &Settings,
    lifecycle: &Arc<Lifecycle>,
) -> Result<RecoveredSpool, OpenError> {
    let failed = |file: Option<&str>, source| OpenError::Io {
        path: file.map_or_else(|| settings.dir.clone(), |file| settings.dir.join(file)),
        source,
    };
    // Checked before the directory is locked, because the lock is a file.
    if let Some(file) = foreign_file(&**storage).map_err(|source| failed(None, source))? {
        return Err(OpenError::Foreign {
            dir: settings.dir.clone(),
            file,
        });
    }
    storage.prepare().map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked {
            dir: settings.dir.clone(),
        },
        _ => failed(None, source),
    })?;
    let listing = Listing::of(&**storage, || lifecycle.goes_on());
    let listing = listing.map_err(|ListError { file, source }| failed(file, source))?;
    if let Some((file, version)) = listing.newer() {
        return Err(OpenError::Newer {
            file: settings.dir.join(file),
            version,
        });
    }
    let (count, bytes) = (listing.segments.len(), listing.bytes());
    if lifecycle.set_scanning(bytes) {
        info!(dir = %settings.dir.display(), segments = count, bytes, "reading the spool");
        log_oddities(&listing, settings);
    }
    let salt = listing.salt;
    let salt = salt.unwrap_or_else(|| RandomState::new().hash_one("salt"));
    let has_cursors = listing.saved.is_some();
    let (slot, cursors) = listing.saved.unwrap_or_default();
    let mut failure = None;
    let mut segments = Vec::new();
    for (index, file) in listing.segments.into_iter().enumerate() {
        let read = read_segment(storage, &file, salt, &cursors, lifecycle);
        if lifecycle.is_stopping() {
            return Err(OpenError::Stopped);
        }
        let read = match read {
            Ok(None) => continue,
            Ok(Some(mut read)) => {
                read.count_ages(&cursors.steps, settings.clock.now());
                if index >= settings.open_files {
                    read.file = Arc::new(OnDemand::new(storage, file.name.clone()));
                }
                Some(read)
            }
            // Without cursors it is unknown which records are in a segment that cannot be read.
            Err(source) if !has_cursors => return Err(failed(Some(&file.name), source)),
            Err(error) => {
                failure = Some((file.name.clone(), error));
                None
            }
        };
        segments.push(RecoveredSegment {
            modified: storage.stat(&file.name).ok().and_then(|it| it.modified),
            numbers: file.numbers,
            len: file.len,
            read,
        });
    }
    if let Some((file, error)) = failure {
        let unread = segments.iter().filter(|segment| segment.read.is_none());
        let (segments, bytes) = (unread.clone().count(), unread.map(|it| it.len).sum::<u64>());
        let error = &error as &dyn std::error::Error;
        let dir = settings.dir.display();
        warn!(%dir, file, segments, bytes, error, "segments of the spool cannot be read, trying again");
    }
    // Torn ends are cut last, so that a directory that cannot be opened stays unchanged.
    for segment in &mut segments {
        if let Some(read) = &mut segment.read {
            read.cut(&segment_name(segment.numbers.start));
        }
    }
    let mut recovered = RecoveredSpool {
        salt,
        names: listing.names,
        cursors,
        slot,
        segments,
        quarantined: listing.quarantined.iter().map(|it| Tally::of(it.len)).sum(),
    };
    recovered.end_gaps();
    Ok(recovered)
}

/// Reads a segment until the spool is stopped. `None`: the file does not exist any more.
fn read_segment(
    storage: &Arc<dyn Storage>,
    file: &SegmentFile,
    salt: u64,
    cursors: &Cursors,
    lifecycle: &Arc<Lifecycle>,
) -> io::Result<Option<ReadSegment>> {
    // The bodies of the last segment are checked too: its records may be newer than the cursors.
    let bodies = file.is_last();
    let may_be_torn = file.is_last() && !cursors.clean;
    let scanned = file.scan(&**storage, salt, bodies, Some(&lifecycle.on_read()))?;
    Ok(scanned.map(|it| ReadSegment::of(it, file, may_be_torn)))
}

fn log_oddities(listing: &Listing, settings: &Settings) {
    for slot in &listing.bad_slots {
        let file = slot.name;
        warn!(
            file,
            "cursors of the spool are damaged, some records may be sent twice"
        );
    }
    for (file, _) in &listing.foreign {
        warn!(dir = %settings.dir.display(), file, "foreign file in the spool is left alone");
    }
}
