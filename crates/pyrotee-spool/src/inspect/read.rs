//! Reads cursor slots and segments that a relay may be writing or unlinking.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::listing::{BadSlot, Listing, SegmentFile};
use super::progress_file::ProgressFile;
use super::{Directory, InspectError, OnRead};
use crate::format::{CURSOR_SLOTS, Crc, Cursors, FormatError, SegmentHead};
use crate::recovery::{SegmentScan, SegmentScanner, head_of, is_begun};
use crate::storage::{File, read_all};

/// An open segment.
pub(super) struct OpenedSegment {
    file: Arc<dyn File>,
    /// The head and its length in bytes.
    pub(super) head: Result<(SegmentHead, usize), FormatError>,
}

/// A segment that was read from its start to its end.
#[derive(Debug)]
pub(super) struct ScannedSegment {
    pub(super) file: Arc<dyn File>,
    pub(super) crc: Crc,
    /// Why the head cannot be read.
    pub(super) head_error: Option<FormatError>,
    /// Whether the file is the first part of the head of a segment, or empty.
    pub(super) is_begun: bool,
    /// The offset of the first record; zero if the head cannot be read.
    pub(super) start: u64,
    pub(super) scan: SegmentScan,
}

impl Directory {
    /// The most recent cursors, and the slots that cannot be read.
    pub(super) fn cursors(
        &self,
        files: &BTreeMap<String, u64>,
    ) -> Result<(Option<Cursors>, Vec<BadSlot>), InspectError> {
        let (mut slots, mut bad) = (Vec::new(), Vec::new());
        for name in CURSOR_SLOTS {
            let Some(len) = files.get(name).copied() else {
                continue;
            };
            match self.slot(name)? {
                Some(Ok(cursors)) => slots.push((name, cursors)),
                Some(Err(error)) => bad.push(BadSlot { name, len, error }),
                None => {}
            }
        }
        let latest = Cursors::latest(slots);
        Ok((latest.map(|(_, cursors)| cursors), bad))
    }

    /// Reads a cursor slot. `None`: the file does not exist any more.
    fn slot(&self, name: &str) -> Result<Option<Result<Cursors, FormatError>>, InspectError> {
        /// A relay overwrites a slot in place, so a slot that is read meanwhile may look damaged.
        const ATTEMPTS: u32 = 3;
        let mut decoded = Err(FormatError::Damaged);
        for _ in 0..ATTEMPTS {
            let read = self.storage.open(name).and_then(|file| read_all(&*file));
            decoded = match read {
                Ok(bytes) => Cursors::decode(&bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(self.failed(name, source)),
            };
            if decoded.is_ok() {
                break;
            }
        }
        Ok(Some(decoded))
    }

    /// Opens a segment and reads its head. `None`: the file does not exist any more.
    pub(super) fn open(&self, name: &str) -> io::Result<Option<OpenedSegment>> {
        let file = match self.storage.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let head = head_of(&*file)?;
        Ok(Some(OpenedSegment { file, head }))
    }

    /// Reads a segment from its start to its end. With `bodies`, checks the bodies of records too and reports
    /// the bytes read. `None`: the file does not exist any more.
    pub(super) fn scan(
        &self,
        listing: &Listing,
        segment: &SegmentFile,
        bodies: Option<&OnRead>,
    ) -> io::Result<Option<ScannedSegment>> {
        let Some(OpenedSegment { file, head }) = self.open(&segment.name)? else {
            return Ok(None);
        };
        let file = match bodies {
            Some(on_read) => ProgressFile::wrap(file, segment.len, on_read),
            None => file,
        };
        let (head_error, start, salt) = match head {
            Ok((head, len)) => (None, len as u64, head.salt),
            Err(error) => (Some(error), 0, listing.salt),
        };
        let is_begun = head_error.is_some() && is_begun(&*file, segment.len)?;
        let crc = Crc::salted(salt);
        let scan = match head_error {
            // This version does not know how a newer one writes records.
            Some(FormatError::Newer(_)) => SegmentScan::default(),
            _ => SegmentScanner {
                file: Arc::clone(&file),
                len: segment.len,
                crc,
                bodies: bodies.is_some(),
                numbers: segment.numbers.clone(),
            }
            .run(start)?,
        };
        let is_begun = is_begun && segment.is_last() && scan.records.is_empty();
        let scan = if is_begun {
            SegmentScan::default()
        } else {
            scan
        };
        Ok(Some(ScannedSegment {
            file,
            crc,
            head_error,
            is_begun,
            start,
            scan,
        }))
    }
}
