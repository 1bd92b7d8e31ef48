//! A segment of an earlier process that was read, and whose end was cut if it was torn.

use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_segments::{ClockSteps, File, ScannedSegment, SegmentFile, SegmentScan};
use tracing::warn;

/// A segment that was read from its start to its end.
#[derive(Debug)]
pub(crate) struct ReadSegment {
    pub(crate) file: Arc<dyn File>,
    /// Length of the file in bytes, without an incomplete record that was cut off.
    pub(crate) bytes: u64,
    pub(crate) damaged: bool,
    /// Whether the file ends in an incomplete record that is no damage.
    is_torn: bool,
    pub(crate) scan: SegmentScan,
}

impl ReadSegment {
    /// `may_be_torn`: a process may have been writing a record when it was killed; an incomplete record at the end is no
    /// damage then.
    pub(crate) fn of(scanned: ScannedSegment, file: &SegmentFile, may_be_torn: bool) -> Self {
        let ScannedSegment {
            head_error,
            is_begun,
            scan,
            ..
        } = scanned;
        let has_head = head_error.is_none();
        let is_damaged = scan.damaged_ranges > 0;
        let is_torn =
            scan.whole_until < file.len && scan.damaged_ranges == 1 && may_be_torn && has_head;
        Self {
            file: scanned.file,
            bytes: file.len,
            damaged: !is_torn && !is_begun && (is_damaged || !has_head),
            is_torn,
            scan,
        }
    }

    /// Sets the times from which the ages of the records count, in a process that begins at `now`.
    pub(crate) fn count_ages(&mut self, steps: &ClockSteps, now: SystemTime) {
        for record in &mut self.scan.records {
            record.received = steps.received(record.number, record.received, now);
        }
    }

    /// Cuts off an incomplete record at the end of the file that is no damage. A file that cannot be cut stays as it is.
    pub(crate) fn cut(&mut self, file: &str) {
        if !self.is_torn {
            return;
        }
        let until = self.scan.whole_until;
        let bytes = self.bytes - until;
        match self.file.truncate(until) {
            Ok(()) => {
                self.bytes = until;
                warn!(file, bytes, "torn end of the spool is cut");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(file, bytes, error, "torn end of the spool cannot be cut");
            }
        }
    }
}
