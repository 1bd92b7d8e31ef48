//! What lies in the directory: which files are whose, what the cursors say, whose number is whose.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::watched::Watched;
use super::{Directory, InspectError, OnRead};
use crate::format::{CURSORS, Crc, Cursors, Fault, Names, SegmentHead, TargetId, segment_of};
use crate::recovery::{Scan, Scanner, head_of};
use crate::settled::Settled;
use crate::storage::{File, Lock, read_up_to};

/// What a damaged segment is called that was set aside.
pub(crate) const QUARANTINED: &str = ".corrupt";

/// The files of a spool, as they were when it was made.
#[derive(Debug)]
pub(super) struct Listing {
    /// A relay has it open.
    pub(super) in_use: bool,
    pub(super) cursors: Cursors,
    /// Slots that cannot be read, and how long they are.
    pub(super) bad_slots: Vec<(&'static str, u64, Fault)>,
    /// In the order of their numbers.
    pub(super) segments: Vec<Segment>,
    pub(super) quarantined: Vec<Segment>,
    /// Names and lengths of what no spool has written.
    pub(super) foreign: Vec<(String, u64)>,
    salt: u64,
    pub(super) names: Names,
}

/// One file of records.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) file: String,
    pub(super) len: u64,
    /// What may be in it; the end of the last one is unknown.
    pub(super) numbers: Range<u64>,
}

/// A segment that was read through.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) file: Arc<dyn File>,
    pub(super) crc: Crc,
    /// Why its head cannot be read.
    pub(super) fault: Option<Fault>,
    /// Where its records begin.
    pub(super) start: u64,
    pub(super) scan: Scan,
}

/// One target's share.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) id: TargetId,
    pub(super) name: String,
    pub(super) settled: Settled,
    pub(super) horizon: u64,
    pub(super) in_flight: u64,
    /// Whether it was part of the configuration when the cursors were last saved; `None`: they do not
    /// mention it.
    pub(super) is_configured: Option<bool>,
}

impl Segment {
    /// Whether a process may have been writing it when it ended, or is.
    pub(super) fn is_last(&self) -> bool {
        self.numbers.end == u64::MAX
    }
}

impl Listing {
    pub(super) fn of(directory: &Directory) -> Result<Self, InspectError> {
        let storage = &*directory.storage;
        let failed = |source| InspectError::Io {
            path: directory.dir.clone(),
            source,
        };
        let lock = storage.look_at_lock().map_err(failed)?;
        let in_use = lock == Lock::Held;
        let files: BTreeMap<_, _> = storage.list().map_err(failed)?.into_iter().collect();
        let (cursors, bad_slots) = directory.cursors(&files)?;
        let (mut segments, mut quarantined, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        for (file, len) in files {
            let of_segment = |first| Segment {
                file: file.clone(),
                len,
                numbers: first..u64::MAX,
            };
            if let Some(first) = segment_of(&file) {
                segments.push(of_segment(first));
            } else if let Some(stem) = file.strip_suffix(QUARANTINED) {
                let first = segment_of(&format!("{stem}.log")).unwrap_or(0);
                quarantined.push(of_segment(first));
            } else if !CURSORS.contains(&&*file) {
                foreign.push((file, len));
            }
        }
        let is_spool = lock != Lock::Absent || cursors.is_some() || !bad_slots.is_empty();
        if !is_spool && segments.is_empty() && quarantined.is_empty() {
            let dir = directory.dir.clone();
            return Err(InspectError::NoSpool { dir });
        }
        let ends: Vec<_> = segments.iter().map(|it| it.numbers.start).collect();
        for (segment, end) in segments.iter_mut().zip(ends.into_iter().skip(1)) {
            segment.numbers.end = end;
        }
        let mut listing = Self {
            in_use,
            cursors: cursors.unwrap_or_default(),
            bad_slots,
            segments,
            quarantined,
            foreign,
            salt: 0,
            names: Names::new(),
        };
        listing.read_heads(directory)?;
        Ok(listing)
    }

    /// Salt and names, as a start finds them.
    fn read_heads(&mut self, directory: &Directory) -> Result<(), InspectError> {
        let mut salt = None;
        for segment in self.segments.iter().chain(&self.quarantined) {
            let Ok(Some((_, Ok((head, _))))) = directory.open(&segment.file) else {
                // It is told where it is read.
                continue;
            };
            salt.get_or_insert(head.salt);
            self.names.extend(head.names);
        }
        self.salt = salt.unwrap_or(self.cursors.salt);
        let saved = self.cursors.targets.iter();
        self.names
            .extend(saved.map(|saved| (saved.id, saved.name.clone())));
        Ok(())
    }

    /// How far every target is.
    pub(super) fn views(&self) -> Vec<View> {
        let saved = &self.cursors.targets;
        let last_seen = saved.iter().map(|saved| saved.last_seen).max();
        let view = |(id, name): (&TargetId, &String)| {
            let mut saved = saved.iter();
            let saved = saved.find(|saved| saved.id == *id && saved.name == *name);
            let is_configured = saved.map(|saved| {
                Some(saved.last_seen) == last_seen && saved.horizon == self.cursors.next
            });
            let saved = saved.cloned().unwrap_or_default();
            View {
                id: *id,
                name: name.clone(),
                settled: saved.settled,
                horizon: saved.horizon,
                in_flight: saved.in_flight.len() as u64,
                is_configured,
            }
        };
        self.names.iter().map(view).collect()
    }
}

impl View {
    /// Whether it took the record of this number and has not settled it.
    pub(super) fn wants(&self, number: u64, takers: &[TargetId]) -> bool {
        takers.contains(&self.id) && !self.settled.contains(number)
    }
}

impl Directory {
    /// The cursors that count, and the slots that cannot be read.
    #[expect(clippy::type_complexity, reason = "two lists that nobody else needs")]
    fn cursors(
        &self,
        files: &BTreeMap<String, u64>,
    ) -> Result<(Option<Cursors>, Vec<(&'static str, u64, Fault)>), InspectError> {
        let (mut youngest, mut bad) = (None::<Cursors>, Vec::new());
        for slot in CURSORS {
            let Some(len) = files.get(slot).copied() else {
                continue;
            };
            match self.slot(slot)? {
                Some(Ok(cursors)) => {
                    let older = youngest.as_ref().map(|other| other.generation);
                    if older.is_none_or(|older| older < cursors.generation) {
                        youngest = Some(cursors);
                    }
                }
                Some(Err(fault)) => bad.push((slot, len, fault)),
                None => {}
            }
        }
        Ok((youngest, bad))
    }

    fn slot(&self, slot: &str) -> Result<Option<Result<Cursors, Fault>>, InspectError> {
        /// A relay overwrites a slot in place; who looks at that moment looks again.
        const LOOKS: u32 = 3;
        let mut decoded = Err(Fault::Damaged);
        for _ in 0..LOOKS {
            let read = self.storage.open(slot).and_then(|file| whole(&*file));
            decoded = match read {
                Ok(bytes) => Cursors::decode(&bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(self.failed(slot, source)),
            };
            if decoded.is_ok() {
                break;
            }
        }
        Ok(Some(decoded))
    }

    /// Opens a segment; `None` if it has gone meanwhile.
    #[expect(clippy::type_complexity, reason = "what the format answers")]
    pub(super) fn open(
        &self,
        file: &str,
    ) -> io::Result<Option<(Arc<dyn File>, Result<(SegmentHead, usize), Fault>)>> {
        let opened = match self.storage.open(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let head = head_of(&*opened)?;
        Ok(Some((opened, head)))
    }

    /// Reads through a segment, its bodies as well if that is asked; `None` if it has gone meanwhile.
    pub(super) fn scan(
        &self,
        listing: &Listing,
        segment: &Segment,
        bodies: Option<&OnRead>,
    ) -> io::Result<Option<Scanned>> {
        let Some((file, head)) = self.open(&segment.file)? else {
            return Ok(None);
        };
        let file = match bodies {
            Some(on_read) => Watched::file(file, segment.len, on_read),
            None => file,
        };
        let (fault, start, salt) = match head {
            Ok((head, len)) => (None, len as u64, head.salt),
            Err(fault) => (Some(fault), 0, listing.salt),
        };
        let crc = Crc::salted(salt);
        let scan = match fault {
            // Nobody knows how that version keeps its records.
            Some(Fault::Newer(_)) => Scan::default(),
            _ => Scanner {
                file: Arc::clone(&file),
                len: segment.len,
                crc,
                bodies: bodies.is_some(),
                numbers: segment.numbers.clone(),
            }
            .run(start)?,
        };
        Ok(Some(Scanned {
            file,
            crc,
            fault,
            start,
            scan,
        }))
    }
}

/// All of a small file.
fn whole(file: &dyn File) -> io::Result<Vec<u8>> {
    const STEP: usize = 64 * 1024;
    let (mut bytes, mut filled) = (Vec::new(), 0);
    loop {
        bytes.resize(filled + STEP, 0);
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        let read = read_up_to(file, filled as u64, rest)?;
        filled += read;
        if read < STEP {
            bytes.truncate(filled);
            return Ok(bytes);
        }
    }
}
