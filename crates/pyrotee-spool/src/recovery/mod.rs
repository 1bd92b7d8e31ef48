//! What an earlier process left: which files are ours, what they hold, who still wants it.
//!
//! Nothing is wiped here, and damage is no error. Only a spool that somebody else uses, one that a
//! newer pyrotee wrote, and a directory that cannot be used stop the start.

mod found;
mod scan;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use tracing::warn;

use crate::format::{
    CURSORS, Crc, Cursors, Fault, Names, SavedCursor, SegmentHead, TargetId, segment_name,
    segment_of,
};
use crate::settings::{OpenError, Settings};
use crate::storage::{File, Storage, read_up_to};
pub(crate) use found::adopt;
pub(crate) use scan::{Found, Scan, Scanner, head_of};

/// What the directory holds.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) salt: u64,
    pub(crate) names: Names,
    pub(crate) cursors: Cursors,
    /// The slot that they lie in.
    pub(crate) slot: usize,
    pub(crate) segments: Vec<Remnant>,
    /// Files that were set aside before, and their length.
    pub(crate) quarantined: (u64, u64),
}

/// A segment of an earlier process.
#[derive(Debug)]
pub(crate) struct Remnant {
    pub(crate) first: u64,
    pub(crate) bytes: u64,
    pub(crate) file: Option<Arc<dyn File>>,
    pub(crate) damaged: bool,
    /// Its numbers, if the disk does not give it.
    pub(crate) unread: Option<Range<u64>>,
    pub(crate) scan: Scan,
}

struct Opened {
    first: u64,
    len: u64,
    file: Option<Arc<dyn File>>,
    head: Option<(SegmentHead, usize)>,
}

/// Locks the directory and reads what is there.
pub(crate) fn read(storage: &dyn Storage, settings: &Settings) -> Result<Remains, OpenError> {
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
    let mut quarantined = (0, 0);
    for (name, len) in files {
        if let Some(first) = segment_of(&name) {
            opened.push(open_segment(storage, settings, first, len)?);
        } else if name.ends_with(".corrupt") {
            quarantined = (quarantined.0 + 1, quarantined.1 + len);
        } else if !CURSORS.contains(&&*name) {
            warn!(dir = %settings.dir.display(), file = name, "foreign file in the spool is left alone");
        }
    }
    opened.sort_by_key(|segment| segment.first);
    let heads = || {
        opened
            .iter()
            .filter_map(|segment| Some(&segment.head.as_ref()?.0))
    };
    let salt = heads().map(|head| head.salt).next();
    let salt = salt.or_else(|| cursors.as_ref().map(|(_, cursors)| cursors.salt));
    let mut names: Names = heads().flat_map(|head| head.names.clone()).collect();
    let (slot, cursors) = cursors.unwrap_or_default();
    names.extend(
        cursors
            .targets
            .iter()
            .map(|saved| (saved.id, saved.name.clone())),
    );
    let salt = salt.unwrap_or_else(|| RandomState::new().hash_one("salt"));
    let firsts: Vec<_> = opened.iter().map(|segment| segment.first).collect();
    let ends = firsts.iter().skip(1).copied().chain([u64::MAX]);
    let segments = opened.into_iter().zip(ends);
    let segments = segments
        .map(|(segment, end)| remnant(segment, end, salt, cursors.clean))
        .collect();
    Ok(Remains {
        salt,
        names,
        cursors,
        slot,
        segments,
        quarantined,
    })
}

fn read_cursors(
    storage: &dyn Storage,
    settings: &Settings,
    files: &[(String, u64)],
) -> Result<Option<(usize, Cursors)>, OpenError> {
    let mut youngest: Option<(usize, Cursors)> = None;
    for (place, slot) in CURSORS.into_iter().enumerate() {
        let Some((_, len)) = files.iter().find(|(name, _)| name == slot) else {
            continue;
        };
        let content = storage.open(slot).and_then(|file| {
            let mut bytes = vec![0; usize::try_from(*len).unwrap_or(0)];
            let filled = read_up_to(&*file, 0, &mut bytes)?;
            bytes.truncate(filled);
            Ok(bytes)
        });
        match content.map(|bytes| Cursors::decode(&bytes)) {
            Ok(Ok(cursors)) => {
                let older = youngest.as_ref().map(|(_, other)| other.generation);
                if older.is_none_or(|older| older < cursors.generation) {
                    youngest = Some((place, cursors));
                }
            }
            Ok(Err(Fault::Newer(version))) => return Err(newer(settings, slot, version)),
            Ok(Err(Fault::Damaged)) | Err(_) => {
                warn!(
                    file = slot,
                    "cursors of the spool cannot be read, some records may be sent twice"
                );
            }
        }
    }
    Ok(youngest)
}

fn open_segment(
    storage: &dyn Storage,
    settings: &Settings,
    first: u64,
    len: u64,
) -> Result<Opened, OpenError> {
    let name = segment_name(first);
    let opened = storage.open(&name).and_then(|file| {
        let head = head_of(&*file)?;
        Ok((file, head))
    });
    match opened {
        Ok((_, Err(Fault::Newer(version)))) => Err(newer(settings, &name, version)),
        Ok((file, head)) => Ok(Opened {
            first,
            len,
            file: Some(file),
            head: head.ok(),
        }),
        Err(error) => {
            warn_unread(first, &error);
            Ok(Opened {
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

fn remnant(segment: Opened, end: u64, salt: u64, clean: bool) -> Remnant {
    let is_last = end == u64::MAX;
    let unreadable = || Scan {
        stretches: 1,
        ..Scan::default()
    };
    let (start, headless) = match &segment.head {
        Some((_, len)) => (*len as u64, false),
        None => (0, true),
    };
    let scan = segment.file.as_ref().map(|file| {
        let scanner = Scanner {
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
    let mut damaged = scan.stretches > 0 || headless;
    let mut bytes = segment.len;
    // What a process was writing when it died lies at the very end. Nothing is set aside for it.
    let torn = scan.good < segment.len && scan.stretches == 1 && is_last && !clean && !headless;
    if let Some(file) = &segment.file
        && torn
        && file.cut(scan.good).is_ok()
    {
        warn!(
            segment = segment.first,
            bytes = bytes - scan.good,
            "torn end of the spool is cut"
        );
        bytes = scan.good;
        damaged = false;
    }
    Remnant {
        first: segment.first,
        bytes,
        file: segment.file,
        damaged,
        unread,
        scan,
    }
}

/// What is known of a target from its cursor.
fn saved<'a>(cursors: &'a Cursors, id: TargetId, name: &str) -> Option<&'a SavedCursor> {
    let mut targets = cursors.targets.iter();
    targets.find(|saved| saved.id == id && saved.name == name)
}
