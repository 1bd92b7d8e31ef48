//! The files of a spool directory.

use std::io;
use std::ops::Range;

use super::scan::head_of;
use crate::format::{
    CURSOR_SLOTS, Cursors, FormatError, Names, SegmentHead, is_spool_file, quarantined_segment_of,
    salt_and_names, segment_name, segment_of,
};
use crate::storage::{LockState, Storage, read_all};

/// The files of a spool directory at the instant at which they were listed, with the cursors and the heads of segments.
#[derive(Debug)]
pub struct Listing {
    /// The most recent cursors, and the index of their slot. `None`: there are none, or no slot is whole.
    pub saved: Option<SavedSlot>,
    /// Cursor slots that are damaged, or that a newer pyrotee wrote.
    pub bad_slots: Vec<BadSlot>,
    /// The segments, in the order of their numbers.
    pub segments: Vec<SegmentFile>,
    /// Damaged segments that were renamed, in the order of their names.
    pub quarantined: Vec<SegmentFile>,
    /// Names and lengths of files that no spool has written.
    pub foreign: Vec<(String, u64)>,
    /// The salt for segments whose own head cannot be read. `None`: no head and no cursor slot
    /// contains a salt.
    pub salt: Option<u64>,
    /// The numbers and names of all targets in segment heads and cursors.
    pub names: Names,
}

/// Cursors, and the index of the slot that they were read from.
type SavedSlot = (usize, Cursors);

/// A cursor slot that cannot be read.
#[derive(Debug)]
pub struct BadSlot {
    /// The name of the file.
    pub name: &'static str,
    /// Length of the file, in bytes.
    pub(crate) len: u64,
    pub(crate) error: FormatError,
}

/// A segment as a file in the directory.
#[derive(Debug)]
pub struct SegmentFile {
    /// The name of the file.
    pub name: String,
    /// Length of the file, in bytes.
    pub len: u64,
    /// Numbers of the records that may be in the segment. The end is `u64::MAX` if it is not known, as for the last
    /// segment.
    pub numbers: Range<u64>,
    /// The head, unless the operating system cannot read it.
    pub(crate) head: io::Result<Head>,
}

/// The head of a segment and its length in bytes.
pub(crate) type Head = Result<(SegmentHead, usize), FormatError>;

/// Why a directory cannot be listed: the operating system cannot list it or read the cursors.
#[derive(Debug)]
pub struct ListError {
    /// The name of the file that cannot be read. `None`: the directory cannot be listed.
    pub file: Option<&'static str>,
    /// The error of the operating system.
    pub source: io::Error,
}

impl SegmentFile {
    /// The segment whose records may have these numbers. `None`: the file does not exist.
    ///
    /// # Errors
    /// The operating system cannot tell whether the file exists.
    pub fn find(storage: &dyn Storage, numbers: Range<u64>) -> io::Result<Option<Self>> {
        let name = segment_name(numbers.start);
        let stat = match storage.stat(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            stat => stat?,
        };
        let found = segment(storage, numbers.start, name, stat.len);
        Ok(found.map(|it| Self { numbers, ..it }))
    }

    /// Whether this is the last segment, the only one that a process may be writing or may have been killed writing.
    pub fn is_last(&self) -> bool {
        self.numbers.end == u64::MAX
    }

    /// The version of the format, if a newer pyrotee wrote the segment.
    pub fn newer(&self) -> Option<u32> {
        match self.head {
            Ok(Err(FormatError::Newer(version))) => Some(version),
            _ => None,
        }
    }
}

/// A file of a directory that belongs to something else: no process has ever locked the directory as a spool, and no
/// spool has written any of its files. `None`: the directory may become a spool, or is one.
///
/// # Errors
/// The directory cannot be read.
pub fn foreign_file(storage: &dyn Storage) -> io::Result<Option<String>> {
    if storage.lock_state()? != LockState::Absent {
        return Ok(None);
    }
    let files = match storage.list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        files => files?,
    };
    let is_ours = |name: &str| {
        is_spool_file(name) || segment_of(name).is_some() || quarantined_segment_of(name).is_some()
    };
    if files.iter().any(|(name, _)| is_ours(name)) {
        return Ok(None);
    }
    Ok(files.into_iter().map(|(name, _)| name).min())
}

impl Listing {
    /// Lists the directory, and reads the cursors and the heads of segments. Calls `goes_on` before each file.
    ///
    /// # Errors
    /// The directory or a cursor slot cannot be read, or `goes_on` fails. If a segment cannot be read, its
    /// [`SegmentFile`] contains the error.
    pub fn of(
        storage: &dyn Storage,
        goes_on: impl Fn() -> io::Result<()>,
    ) -> Result<Self, ListError> {
        let failed = |source| ListError { file: None, source };
        let mut files = storage.list().map_err(failed)?;
        files.sort();
        let (saved, bad_slots) = slots(storage, &files)?;
        let mut listing = Self {
            saved,
            bad_slots,
            segments: Vec::new(),
            quarantined: Vec::new(),
            foreign: Vec::new(),
            salt: None,
            names: Names::new(),
        };
        for (name, len) in files {
            goes_on().map_err(failed)?;
            if let Some(first) = segment_of(&name) {
                listing.segments.extend(segment(storage, first, name, len));
            } else if let Some(first) = quarantined_segment_of(&name) {
                listing
                    .quarantined
                    .extend(segment(storage, first, name, len));
            } else if !is_spool_file(&name) {
                listing.foreign.push((name, len));
            }
        }
        let firsts: Vec<_> = listing.segments.iter().map(|it| it.numbers.start).collect();
        for (segment, end) in listing.segments.iter_mut().zip(firsts.into_iter().skip(1)) {
            segment.numbers.end = end;
        }
        let files = listing.segments.iter().chain(&listing.quarantined);
        let heads = files.filter_map(|it| it.head.as_ref().ok()?.as_ref().ok());
        let heads: Vec<_> = heads.map(|(head, _)| head).collect();
        (listing.salt, listing.names) = salt_and_names(&heads, listing.cursors());
        Ok(listing)
    }

    /// Total length of all segments, in bytes.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// The most recent cursors.
    pub(crate) fn cursors(&self) -> Option<&Cursors> {
        self.saved.as_ref().map(|(_, cursors)| cursors)
    }

    /// The name of a file that a newer pyrotee wrote, and the version of its format.
    pub fn newer(&self) -> Option<(&str, u32)> {
        let slots = self.bad_slots.iter().find_map(|slot| match slot.error {
            FormatError::Newer(version) => Some((slot.name, version)),
            FormatError::Damaged => None,
        });
        let mut segments = self.segments.iter();
        slots.or_else(|| segments.find_map(|it| Some((&*it.name, it.newer()?))))
    }
}

/// A segment file with its head. `first`: the lowest record number that may be in the file. `None`: the file does not
/// exist any more.
fn segment(storage: &dyn Storage, first: u64, name: String, len: u64) -> Option<SegmentFile> {
    let head = match storage.open(&name).and_then(|file| head_of(&*file)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        head => head,
    };
    Some(SegmentFile {
        name,
        len,
        numbers: first..u64::MAX,
        head,
    })
}

/// The most recent cursors with the index of their slot, and the slots that cannot be read.
fn slots(
    storage: &dyn Storage,
    files: &[(String, u64)],
) -> Result<(Option<SavedSlot>, Vec<BadSlot>), ListError> {
    let (mut whole, mut bad) = (Vec::new(), Vec::new());
    for (index, name) in CURSOR_SLOTS.into_iter().enumerate() {
        let Some((_, len)) = files.iter().find(|(file, _)| file == name) else {
            continue;
        };
        match slot(storage, name) {
            Ok(Ok(cursors)) => whole.push((index, cursors)),
            Ok(Err(error)) => bad.push(BadSlot {
                name,
                len: *len,
                error,
            }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let file = Some(name);
                return Err(ListError { file, source });
            }
        }
    }
    Ok((Cursors::latest(whole), bad))
}

/// Reads a cursor slot.
fn slot(storage: &dyn Storage, name: &str) -> io::Result<Result<Cursors, FormatError>> {
    /// A relay overwrites a slot in place, so a slot that is read at that moment may look damaged.
    const ATTEMPTS: u32 = 3;
    let mut decoded = Err(FormatError::Damaged);
    for _ in 0..ATTEMPTS {
        let bytes = read_all(&*storage.open(name)?)?;
        decoded = Cursors::decode(&bytes);
        if decoded.is_ok() {
            break;
        }
    }
    Ok(decoded)
}
