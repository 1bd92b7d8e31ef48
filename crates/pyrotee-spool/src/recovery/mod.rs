//! Recovers the records that earlier processes left in the directory.
//!
//! Recovery deletes no file, and damage is not an error. A segment that the operating system does not return is left
//! as it is, to be read later. Recovery fails, and is tried again, if another process uses the spool, a newer pyrotee wrote
//! it, or the directory or the cursors cannot be read.

mod adopt;
mod adopt_late;
mod backlog;
mod checksums;
mod numbers;
mod read_segment;
mod scan;
mod watched_file;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::Tally;
use tracing::{info, warn};

use crate::format::{
    CURSOR_SLOTS, Crc, Cursors, FormatError, Names, quarantined_segment_of, salt_and_names,
    segment_name, segment_of,
};
use crate::lifecycle::Lifecycle;
use crate::settings::{OpenError, Settings};
use crate::storage::{Storage, read_all};
pub(crate) use adopt::adopt;
pub(crate) use adopt_late::adopt_late;
pub(crate) use backlog::Adoption;
pub(crate) use read_segment::{OpenedSegment, ReadError, ReadSegment, is_begun};
pub(crate) use scan::{ScannedRecord, SegmentScan, SegmentScanner, head_of};

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
    /// Numbers of the records that may be in it. The last segment has no known end.
    pub(crate) numbers: Range<u64>,
    /// Length of the file when the directory was listed, in bytes.
    pub(crate) len: u64,
    /// When it was last written to. `None`: the operating system does not tell.
    pub(crate) modified: Option<SystemTime>,
    /// What was read. `None`: the operating system cannot read the file.
    pub(crate) read: Option<ReadSegment>,
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
    let of_dir = |source: io::Error| OpenError::Io {
        path: settings.dir.clone(),
        source,
    };
    storage.prepare().map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked {
            dir: settings.dir.clone(),
        },
        _ => of_dir(source),
    })?;
    let mut files = storage.list().map_err(of_dir)?;
    // The oldest segments first.
    files.sort();
    let saved = read_cursors(&**storage, settings, &files)?;
    let mut opened = Vec::new();
    let mut quarantined = Tally::default();
    let (mut foreign, mut failure) = (Vec::new(), None);
    for (name, len) in files {
        check_stopping(lifecycle)?;
        if let Some(first) = segment_of(&name) {
            match OpenedSegment::open(&**storage, first, len) {
                Ok(segment) if opened.len() < settings.open_files => {
                    opened.push((first, len, Some(segment)));
                }
                Ok(segment) => {
                    opened.push((first, len, Some(segment.close(storage, first))));
                }
                Err(ReadError::Newer(version)) => return Err(newer(settings, &name, version)),
                Err(ReadError::Missing) => {}
                Err(ReadError::Io(error)) => {
                    opened.push((first, len, None));
                    failure = Some((name, error));
                }
            }
        } else if quarantined_segment_of(&name).is_some() {
            quarantined.add(len);
        } else if !CURSOR_SLOTS.contains(&&*name) {
            foreign.push(name);
        }
    }
    opened.sort_by_key(|(first, ..)| *first);
    let heads = opened
        .iter()
        .filter_map(|(.., it)| it.as_ref()?.head.as_ref());
    let heads: Vec<_> = heads.map(|(head, _)| head).collect();
    let (salt, names) = salt_and_names(&heads, saved.as_ref().map(|(_, cursors)| cursors));
    let salt = salt.unwrap_or_else(|| RandomState::new().hash_one("salt"));
    let has_cursors = saved.is_some();
    let (slot, cursors) = saved.unwrap_or_default();
    let firsts: Vec<_> = opened.iter().map(|(first, ..)| *first).collect();
    let ends = firsts.iter().skip(1).copied().chain([u64::MAX]);
    let bytes = opened.iter().map(|(_, len, _)| len).sum();
    if lifecycle.set_scanning(bytes) {
        info!(dir = %settings.dir.display(), segments = opened.len(), bytes, "reading the spool");
    }
    let mut scanned = 0;
    let mut segments = Vec::new();
    for ((first, len, opened), end) in opened.into_iter().zip(ends) {
        let may_be_torn = end == u64::MAX && !cursors.clean;
        let bodies = end == u64::MAX;
        let watch = (lifecycle, scanned);
        let read =
            opened.map(|it| it.read(first..end, Crc::salted(salt), bodies, may_be_torn, watch));
        check_stopping(lifecycle)?;
        scanned += len;
        lifecycle.note_scanned(scanned);
        let read = match read.transpose() {
            Ok(Some(mut read)) => {
                read.count_ages(&cursors.steps, settings.clock.now());
                Some(read)
            }
            Ok(None) => None,
            Err(error) => {
                failure = Some((segment_name(first), error));
                None
            }
        };
        segments.push(RecoveredSegment {
            numbers: first..end,
            len,
            modified: modified_at(&**storage, first),
            read,
        });
    }
    if let Some((file, source)) = failure {
        // Without cursors nobody could tell which records are in a segment that cannot be read.
        if !has_cursors {
            return Err(failed(settings, &file, source));
        }
        let unread = segments.iter().filter(|segment| segment.read.is_none());
        let (segments, bytes) = (unread.clone().count(), unread.map(|it| it.len).sum::<u64>());
        let error = &source as &dyn std::error::Error;
        let dir = settings.dir.display();
        warn!(%dir, file, segments, bytes, error, "segments of the spool cannot be read, trying again");
    }
    // Nothing is changed in a directory that cannot be opened.
    check_stopping(lifecycle)?;
    for segment in &mut segments {
        let first = segment.first();
        if let Some(read) = &mut segment.read {
            read.cut(first);
        }
    }
    for file in foreign {
        warn!(dir = %settings.dir.display(), file, "foreign file in the spool is left alone");
    }
    Ok(RecoveredSpool {
        salt,
        names,
        cursors,
        slot,
        segments,
        quarantined,
    })
}

/// When a segment was last written to. `None`: the operating system does not tell.
fn modified_at(storage: &dyn Storage, first: u64) -> Option<SystemTime> {
    storage.stat(&segment_name(first)).ok()?.modified
}

/// The most recent cursors and the index of their slot. `None`: there are none, or no slot is whole.
fn read_cursors(
    storage: &dyn Storage,
    settings: &Settings,
    files: &[(String, u64)],
) -> Result<Option<(usize, Cursors)>, OpenError> {
    let mut slots = Vec::new();
    for (index, name) in CURSOR_SLOTS.into_iter().enumerate() {
        if !files.iter().any(|(file, _)| file == name) {
            continue;
        }
        let content = storage.open(name).and_then(|file| read_all(&*file));
        match content.map(|bytes| Cursors::decode(&bytes)) {
            Ok(Ok(cursors)) => slots.push((index, cursors)),
            Ok(Err(FormatError::Newer(version))) => return Err(newer(settings, name, version)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(settings, name, error));
            }
            Ok(Err(FormatError::Damaged)) | Err(_) => {
                warn!(
                    file = name,
                    "cursors of the spool are damaged, some records may be sent twice"
                );
            }
        }
    }
    Ok(Cursors::latest(slots))
}

fn newer(settings: &Settings, file: &str, version: u32) -> OpenError {
    OpenError::Newer {
        file: settings.dir.join(file),
        version,
    }
}

fn failed(settings: &Settings, file: &str, source: io::Error) -> OpenError {
    OpenError::Io {
        path: settings.dir.join(file),
        source,
    }
}

fn check_stopping(lifecycle: &Lifecycle) -> Result<(), OpenError> {
    match lifecycle.is_stopping() {
        true => Err(OpenError::Stopped),
        false => Ok(()),
    }
}
