//! Reads one segment from its start to its end, and resynchronizes after damage.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::SurfaceId;

use super::checksums::PrefixChecksums;
use super::record::SegmentPosition;
use crate::format::{Crc, FormatError, MAGIC, PREFIX_LEN, RecordPrefix, SegmentHead, TargetId};
use crate::storage::{File, read_up_to};

/// Bytes that are read at once.
const WINDOW: usize = 64 * 1024;

/// A record that was found in a segment, with the parts of its head that the index needs.
#[derive(Debug)]
pub struct ScannedRecord {
    /// The number of the record.
    pub number: u64,
    /// The targets that had queued and not settled the record when it was written.
    pub takers: Vec<TargetId>,
    /// The surface on which the record was received.
    pub surface: SurfaceId,
    /// When the record was received, according to its head.
    pub received: SystemTime,
    /// The offset of the record's first byte in the segment.
    pub(crate) offset: u64,
    /// Length of the record's prefix and head, in bytes.
    pub(crate) before_body: u32,
    /// Length of the body, in bytes.
    pub bytes: u64,
    /// Whether the body is complete and, if bodies were checked, its checksum is right.
    pub whole: bool,
}

impl ScannedRecord {
    /// The position of the record, which is in the segment with this number.
    pub fn position(&self, segment: u64) -> SegmentPosition {
        SegmentPosition {
            segment,
            offset: self.offset,
            before_body: self.before_body,
        }
    }

    /// The offset of the first byte after the record.
    pub(crate) fn end(&self) -> u64 {
        let body = self.offset + u64::from(self.before_body);
        body.saturating_add(self.bytes)
    }
}

/// The result of reading a segment.
#[derive(Debug, Default)]
pub struct SegmentScan {
    /// Records with undamaged heads, in the order of their numbers.
    pub records: Vec<ScannedRecord>,
    /// Numbers of records that may have been in damaged ranges.
    pub gaps: Vec<Range<u64>>,
    /// Number of damaged ranges: bytes that are no record, or a record with a damaged body.
    pub damaged_ranges: u64,
    /// The offset after the last whole record, or after the segment's head if there is no whole record.
    pub whole_until: u64,
}

impl SegmentScan {
    /// Removes the numbers from `end` on from `gaps`.
    pub fn end_gaps(&mut self, end: u64) {
        for gap in &mut self.gaps {
            gap.end = gap.end.min(end);
        }
        self.gaps.retain(|gap| !gap.is_empty());
    }
}

/// The head of a segment, and its length in bytes.
pub(crate) fn head_of(file: &dyn File) -> io::Result<Result<(SegmentHead, usize), FormatError>> {
    // The configuration bounds the names, so a longer head was not written by a spool.
    let mut bytes = vec![0; WINDOW * 4];
    let filled = read_up_to(file, 0, &mut bytes)?;
    bytes.truncate(filled);
    Ok(SegmentHead::decode(&bytes))
}

/// Reads the records of a segment.
#[derive(Debug)]
pub(crate) struct SegmentScanner {
    pub(crate) file: Arc<dyn File>,
    /// Length of the segment, in bytes.
    pub(crate) len: u64,
    pub(crate) crc: Crc,
    /// Whether to check the checksums of bodies.
    pub(crate) bodies: bool,
    /// Numbers of the records that may be in the segment. The last segment has no known end.
    pub(crate) numbers: Range<u64>,
}

impl SegmentScanner {
    /// Reads from the offset `start` to the end.
    pub(crate) fn run(&self, start: u64) -> io::Result<SegmentScan> {
        let mut checksums = PrefixChecksums::new(Arc::clone(&self.file), self.len);
        let mut scan = SegmentScan {
            whole_until: start,
            ..SegmentScan::default()
        };
        let (mut at, mut expected) = (start, self.numbers.start);
        while at < self.len {
            let record = match self.record_at(at, &mut checksums)? {
                Some(record) if self.fits(&record, expected) => record,
                _ => {
                    let next = self.resync(at + 1, expected, &mut checksums)?;
                    scan.damaged_ranges += 1;
                    let until = next
                        .as_ref()
                        .map_or(self.end_of_tail(expected, start), |record| record.number);
                    if expected < until {
                        scan.gaps.push(expected..until);
                    }
                    match next {
                        Some(record) => record,
                        None => break,
                    }
                }
            };
            expected = record.number + 1;
            at = record.end();
            if record.whole {
                scan.whole_until = at;
            } else {
                scan.damaged_ranges += 1;
            }
            scan.records.push(record);
        }
        Ok(scan)
    }

    /// The end of the range of numbers, from `expected` on, of records that may have been in damaged bytes at the end
    /// of the segment. `start`: the offset of the first record. In the last segment the range is empty, because the
    /// cursors tell which records were there, and the receipt of a record with an incomplete head never resolved. But
    /// if the last segment is damaged from its head to its end, at least one record is lost.
    fn end_of_tail(&self, expected: u64, start: u64) -> u64 {
        let is_nothing_left = start == 0 && expected == self.numbers.start;
        match self.numbers.end {
            u64::MAX if is_nothing_left => expected.saturating_add(1),
            u64::MAX => expected,
            end => end,
        }
    }

    fn fits(&self, record: &ScannedRecord, expected: u64) -> bool {
        (expected..self.numbers.end).contains(&record.number)
    }

    /// Finds the next record with an undamaged head.
    fn resync(
        &self,
        from: u64,
        expected: u64,
        checksums: &mut PrefixChecksums,
    ) -> io::Result<Option<ScannedRecord>> {
        let mut window = vec![0; WINDOW];
        let mut at = from;
        while at < self.len {
            let filled = read_up_to(&*self.file, at, &mut window)?;
            let bytes = window.get(..filled).unwrap_or_default();
            if filled < MAGIC.len() {
                break;
            }
            let magics = bytes.windows(MAGIC.len()).enumerate();
            for (offset, _) in magics.filter(|(_, some)| *some == MAGIC) {
                if let Some(record) = self.record_at(at + offset as u64, checksums)?
                    && self.fits(&record, expected)
                {
                    return Ok(Some(record));
                }
            }
            // A magic may cross the edge of the window.
            at += (filled - MAGIC.len() + 1) as u64;
        }
        Ok(None)
    }

    /// Reads the head of the record at `offset`. `None`: there is no undamaged head at `offset`.
    fn record_at(
        &self,
        offset: u64,
        checksums: &mut PrefixChecksums,
    ) -> io::Result<Option<ScannedRecord>> {
        let mut bytes = vec![0; 1_024];
        let filled = read_up_to(&*self.file, offset, &mut bytes)?;
        bytes.truncate(filled);
        let Some(prefix) = bytes.get(..PREFIX_LEN).and_then(RecordPrefix::decode) else {
            return Ok(None);
        };
        let end = PREFIX_LEN + prefix.head_len as usize;
        if bytes.len() < end {
            // A body may contain many false prefixes: reading and hashing the head of each would take a minute.
            let head = offset + PREFIX_LEN as u64..offset + end as u64;
            let sum = checksums.of(head)?;
            if !sum.is_some_and(|sum| prefix.fits(sum, self.crc)) {
                return Ok(None);
            }
            let have = bytes.len();
            bytes.resize(end, 0);
            let rest = bytes.get_mut(have..).unwrap_or_default();
            if read_up_to(&*self.file, offset + have as u64, rest)? < end - have {
                return Ok(None);
            }
        }
        let head = bytes
            .get(PREFIX_LEN..end)
            .and_then(|head| prefix.decode_head(head, self.crc));
        let Some(head) = head else {
            return Ok(None);
        };
        let is_complete = offset.saturating_add(prefix.record_len()) <= self.len;
        Ok(Some(ScannedRecord {
            number: head.number,
            takers: head.takers,
            surface: head.head.surface,
            received: head.head.received,
            offset,
            before_body: u32::try_from(end).unwrap_or(u32::MAX),
            bytes: prefix.body_len,
            whole: is_complete && (!self.bodies || self.is_body_whole(offset, prefix)?),
        }))
    }

    fn is_body_whole(&self, offset: u64, prefix: RecordPrefix) -> io::Result<bool> {
        let mut hasher = self.crc.start();
        let mut window = vec![0; WINDOW];
        let (mut at, mut left) = (offset + prefix.before_body(), prefix.body_len);
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(WINDOW).min(WINDOW);
            let part = window.get_mut(..wanted).unwrap_or_default();
            if read_up_to(&*self.file, at, part)? < wanted {
                return Ok(false);
            }
            hasher.update(part);
            at += wanted as u64;
            left -= wanted as u64;
        }
        Ok(hasher.finalize() == prefix.body_crc)
    }
}
