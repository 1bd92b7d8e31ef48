//! Reads one segment file: its head and its records.

use std::io;
use std::sync::Arc;

use super::listing::{Head, SegmentFile};
use super::progress_file::{OnRead, ProgressFile};
use super::scan::{SegmentScan, SegmentScanner};
use crate::format::{Crc, FormatError, SegmentHead};
use crate::storage::{File, Storage, read_all};

/// A segment that was read from its start to its end.
#[derive(Debug)]
pub struct ScannedSegment {
    /// The open file.
    pub file: Arc<dyn File>,
    /// The checksum of the segment's records, with their salt.
    pub(crate) crc: Crc,
    /// Why the head cannot be read. `None`: it was read.
    pub head_error: Option<FormatError>,
    /// Whether the file is empty or ends within the head of the segment: a process was killed while it began the
    /// segment, or is beginning the segment now.
    pub is_begun: bool,
    /// The offset of the first record; zero if the head cannot be read.
    pub(crate) start: u64,
    /// The records, and the damage between them.
    pub scan: SegmentScan,
}

impl SegmentFile {
    /// Reads the records. `salt`: used if the head of the segment is damaged. `bodies`: whether to check the checksums
    /// of bodies. `on_read`: called with the number of bytes that were read. `None`: the file does not exist any more.
    ///
    /// # Errors
    /// The operating system cannot read the file, or `on_read` fails.
    pub fn scan(
        &self,
        storage: &dyn Storage,
        salt: u64,
        bodies: bool,
        on_read: Option<&OnRead>,
    ) -> io::Result<Option<ScannedSegment>> {
        let file = match storage.open(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let read = match on_read {
            Some(on_read) => ProgressFile::wrap(Arc::clone(&file), self.len, on_read),
            None => Arc::clone(&file),
        };
        let (head_error, start, salt) = match self.known_head()? {
            Ok((head, len)) => (None, *len as u64, head.salt),
            Err(error) => (Some(*error), 0, salt),
        };
        let crc = Crc::salted(salt);
        let mut scan = match head_error {
            // This code cannot decode the records of a newer version.
            Some(FormatError::Newer(_)) => SegmentScan::default(),
            _ => SegmentScanner {
                file: Arc::clone(&read),
                len: self.len,
                crc,
                bodies,
                numbers: self.numbers.clone(),
            }
            .run(start)?,
        };
        let may_be_begun = head_error.is_some() && self.is_last() && scan.records.is_empty();
        let is_begun = may_be_begun && is_begun(&*read, self.len)?;
        if is_begun {
            scan = SegmentScan::default();
        }
        Ok(Some(ScannedSegment {
            file,
            crc,
            head_error,
            is_begun,
            start,
            scan,
        }))
    }

    fn known_head(&self) -> io::Result<&Head> {
        let again = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        self.head.as_ref().map_err(again)
    }
}

/// Whether a file of this length is empty or ends within the head of the segment.
fn is_begun(file: &dyn File, len: u64) -> io::Result<bool> {
    const LONGEST_HEAD: u64 = 1 << 20;
    if len > LONGEST_HEAD {
        return Ok(false);
    }
    Ok(SegmentHead::is_incomplete(&read_all(file)?))
}
