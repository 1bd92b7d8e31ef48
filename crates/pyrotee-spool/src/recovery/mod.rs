//! Recovers the records that earlier processes left in the directory.
//!
//! Recovery deletes no file, and damage is not an error. The start fails only if another process uses the
//! spool, a newer pyrotee wrote it, or the directory cannot be used.

mod adopt;
mod scan;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use pyrotee_queue::Tally;
use tracing::warn;

use crate::format::{
    CURSOR_SLOTS, Crc, Cursors, FormatError, Names, SegmentHead, quarantined_segment_of,
    salt_and_names, segment_name, segment_of,
};
use crate::settings::{OpenError, Settings};
use crate::storage::{File, Storage, read_all};
pub(crate) use adopt::adopt;
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
    pub(crate) first: u64,
    pub(crate) bytes: u64,
    /// `None`: the file cannot be opened.
    pub(crate) file: Option<Arc<dyn File>>,
    pub(crate) damaged: bool,
    /// Numbers of its records, if the file cannot be read.
    pub(crate) unread: Option<Range<u64>>,
    pub(crate) scan: SegmentScan,
}

/// A segment whose head was read.
struct OpenedSegment {
    first: u64,
    len: u64,
    /// `None`: the file cannot be opened.
    file: Option<Arc<dyn File>>,
    /// The head and its length in bytes. `None`: the head cannot be read.
    head: Option<(SegmentHead, usize)>,
}

/// Locks the directory, and reads cursors and segments.
pub(crate) fn read(
    storage: &dyn Storage,
    settings: &Settings,
) -> Result<RecoveredSpool, OpenError> {
    let dir = || settings.dir.clone();
    storage.prepare().map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked { dir: dir() },
        _ => OpenError::Io { dir: dir(), source },
    })?;
    let files = storage
        .list()
        .map_err(|source| OpenError::Io { dir: dir(), source })?;
    let cursors = read_cursors(storage, settings, &files)?;
    let mut opened = Vec::new();
    let mut quarantined = Tally::default();
    for (name, len) in files {
        if let Some(first) = segment_of(&name) {
            opened.push(open_segment(storage, settings, first, len)?);
        } else if quarantined_segment_of(&name).is_some() {
            quarantined.add(len);
        } else if !CURSOR_SLOTS.contains(&&*name) {
            warn!(dir = %settings.dir.display(), file = name, "foreign file in the spool is left alone");
        }
    }
    opened.sort_by_key(|segment| segment.first);
    let heads = opened.iter().filter_map(|segment| segment.head.as_ref());
    let heads: Vec<_> = heads.map(|(head, _)| head).collect();
    let (salt, names) = salt_and_names(&heads, cursors.as_ref().map(|(_, cursors)| cursors));
    let salt = salt.unwrap_or_else(|| RandomState::new().hash_one("salt"));
    let (slot, cursors) = cursors.unwrap_or_default();
    let firsts: Vec<_> = opened.iter().map(|segment| segment.first).collect();
    let ends = firsts.iter().skip(1).copied().chain([u64::MAX]);
    let segments = opened.into_iter().zip(ends);
    let segments = segments
        .map(|(segment, end)| recover_segment(segment, end, salt, cursors.clean))
        .collect();
    Ok(RecoveredSpool {
        salt,
        names,
        cursors,
        slot,
        segments,
        quarantined,
    })
}

/// The most recent cursors and the index of their slot. `None`: no slot can be read.
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
            Ok(Err(FormatError::Damaged)) | Err(_) => {
                warn!(
                    file = name,
                    "cursors of the spool cannot be read, some records may be sent twice"
                );
            }
        }
    }
    Ok(Cursors::latest(slots))
}

/// Opens a segment and reads its head. A file that cannot be read is logged, and is not an error.
fn open_segment(
    storage: &dyn Storage,
    settings: &Settings,
    first: u64,
    len: u64,
) -> Result<OpenedSegment, OpenError> {
    let name = segment_name(first);
    let opened = storage.open(&name).and_then(|file| {
        let head = head_of(&*file)?;
        Ok((file, head))
    });
    match opened {
        Ok((_, Err(FormatError::Newer(version)))) => Err(newer(settings, &name, version)),
        Ok((file, head)) => Ok(OpenedSegment {
            first,
            len,
            file: Some(file),
            head: head.ok(),
        }),
        Err(error) => {
            warn_unread(first, &error);
            Ok(OpenedSegment {
                first,
                len,
                file: None,
                head: None,
            })
        }
    }
}

fn warn_unread(segment: u64, error: &io::Error) {
    let error = error as &dyn std::error::Error;
    warn!(segment, error, "failed to read a segment of the spool");
}

fn newer(settings: &Settings, file: &str, version: u32) -> OpenError {
    OpenError::Newer {
        file: settings.dir.join(file),
        version,
    }
}

/// Reads the records of a segment, whose numbers are below `end`. Cuts off an incomplete record that a process was
/// writing when it was killed.
fn recover_segment(segment: OpenedSegment, end: u64, salt: u64, clean: bool) -> RecoveredSegment {
    let is_last = end == u64::MAX;
    let unreadable = || SegmentScan {
        damaged_ranges: 1,
        ..SegmentScan::default()
    };
    let (start, headless) = match &segment.head {
        Some((_, len)) => (*len as u64, false),
        None => (0, true),
    };
    let scan = segment.file.as_ref().map(|file| {
        let scanner = SegmentScanner {
            file: Arc::clone(file),
            len: segment.len,
            crc: Crc::salted(segment.head.as_ref().map_or(salt, |(head, _)| head.salt)),
            bodies: is_last,
            numbers: segment.first..end,
        };
        scanner.run(start)
    });
    let scan = scan.and_then(|scan| {
        let failed = |error: &_| warn_unread(segment.first, error);
        scan.inspect_err(failed).ok()
    });
    let unread = scan.is_none().then_some(segment.first..end);
    let scan = scan.unwrap_or_else(unreadable);
    let mut damaged = scan.damaged_ranges > 0 || headless;
    let mut bytes = segment.len;
    // A process writes at the very end of the last segment only. A torn end is no reason to quarantine it.
    let torn = scan.whole_until < segment.len
        && scan.damaged_ranges == 1
        && is_last
        && !clean
        && !headless;
    if let Some(file) = &segment.file
        && torn
        && file.truncate(scan.whole_until).is_ok()
    {
        warn!(
            segment = segment.first,
            bytes = bytes - scan.whole_until,
            "torn end of the spool is cut"
        );
        bytes = scan.whole_until;
        damaged = false;
    }
    RecoveredSegment {
        first: segment.first,
        bytes,
        file: segment.file,
        damaged,
        unread,
        scan,
    }
}
