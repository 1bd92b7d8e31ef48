//! Opens one segment of an earlier process, and reads it from its start to its end.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::warn;

use super::scan::{SegmentScan, SegmentScanner, head_of};
use super::watched_file::WatchedFile;
use crate::format::{ClockSteps, Crc, FormatError, SegmentHead, segment_name};
use crate::lifecycle::Lifecycle;
use crate::storage::{File, OnDemand, Storage, read_all};

/// A segment whose head was read.
pub(crate) struct OpenedSegment {
    file: Arc<dyn File>,
    len: u64,
    /// The head and its length in bytes. `None`: the head is damaged or incomplete.
    pub(super) head: Option<(SegmentHead, usize)>,
    /// Whether the file is the first part of a head, or empty.
    is_begun: bool,
}

/// A segment that was read from its start to its end.
#[derive(Debug)]
pub(crate) struct ReadSegment {
    pub(crate) file: Arc<dyn File>,
    /// Length without an incomplete record at the end that was cut off, in bytes.
    pub(crate) bytes: u64,
    pub(crate) damaged: bool,
    /// Whether the file ends in an incomplete record that is no damage.
    is_torn: bool,
    pub(crate) scan: SegmentScan,
}

/// Why a segment cannot be opened.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file does not exist any more.
    Missing,
    /// A newer pyrotee wrote it, in this version of the format.
    Newer(u32),
    /// The operating system cannot read the file.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Io(error),
        }
    }
}

impl OpenedSegment {
    /// Opens the segment with this number and length, and reads its head.
    pub(crate) fn open(storage: &dyn Storage, first: u64, len: u64) -> Result<Self, ReadError> {
        let file = storage.open(&segment_name(first))?;
        let head = match head_of(&*file)? {
            Ok(head) => Some(head),
            Err(FormatError::Damaged) => None,
            Err(FormatError::Newer(version)) => return Err(ReadError::Newer(version)),
        };
        let is_begun = head.is_none() && is_begun(&*file, len)?;
        Ok(Self {
            file,
            len,
            head,
            is_begun,
        })
    }

    /// Closes the file until it is read, because too many are open.
    pub(crate) fn close(mut self, storage: &Arc<dyn Storage>, first: u64) -> Self {
        self.file = Arc::new(OnDemand::new(storage, segment_name(first)));
        self
    }

    /// Reads the records, whose numbers are among `numbers`. `crc`: for a segment whose own head is damaged. `bodies`:
    /// whether to check bodies. `may_be_torn`: a process may have been writing a record when it was killed; an
    /// incomplete record at the end is not damage then. The scan ends with an error once the spool is
    /// stopped; `before`: bytes of the segments that were scanned before.
    pub(crate) fn read(
        self,
        numbers: Range<u64>,
        crc: Crc,
        bodies: bool,
        may_be_torn: bool,
        (lifecycle, before): (&Arc<Lifecycle>, u64),
    ) -> io::Result<ReadSegment> {
        let is_last = numbers.end == u64::MAX;
        let Self {
            file,
            len,
            head,
            is_begun,
        } = self;
        let head = head.map(|(head, len)| (Crc::salted(head.salt), len as u64));
        let (crc, start) = head.unwrap_or((crc, 0));
        let scanner = SegmentScanner {
            file: Arc::new(WatchedFile {
                file: Arc::clone(&file),
                lifecycle: Arc::clone(lifecycle),
                before,
            }),
            len,
            crc,
            bodies,
            numbers,
        };
        let mut scan = scanner.run(start)?;
        // A process was killed while it began the segment.
        let is_begun = is_begun && is_last && scan.records.is_empty();
        if is_begun {
            scan = SegmentScan::default();
        }
        let is_torn =
            scan.whole_until < len && scan.damaged_ranges == 1 && may_be_torn && head.is_some();
        Ok(ReadSegment {
            file,
            bytes: len,
            is_torn,
            damaged: !is_torn && !is_begun && (scan.damaged_ranges > 0 || head.is_none()),
            scan,
        })
    }
}

/// Whether a file of this length is the first part of the head of a segment.
pub(crate) fn is_begun(file: &dyn File, len: u64) -> io::Result<bool> {
    const LONGEST_HEAD: u64 = 1 << 20;
    if len > LONGEST_HEAD {
        return Ok(false);
    }
    Ok(SegmentHead::is_incomplete(&read_all(file)?))
}

impl ReadSegment {
    /// Sets the times from which the ages of the records count, in a process that begins at `now`.
    pub(crate) fn count_ages(&mut self, steps: &ClockSteps, now: SystemTime) {
        for record in &mut self.scan.records {
            record.received = steps.received(record.number, record.received, now);
        }
    }

    /// Cuts off an incomplete record at the end of the file that is no damage. A file that cannot be cut stays as it is.
    pub(crate) fn cut(&mut self, segment: u64) {
        if !self.is_torn {
            return;
        }
        let (len, until) = (self.bytes, self.scan.whole_until);
        let bytes = len - until;
        match self.file.truncate(until) {
            Ok(()) => {
                self.bytes = until;
                warn!(segment, bytes, "torn end of the spool is cut");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(segment, bytes, error, "torn end of the spool cannot be cut");
            }
        }
    }
}
