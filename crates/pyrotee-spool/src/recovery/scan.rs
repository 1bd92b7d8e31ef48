//! Reads through one segment.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::SurfaceId;

use crate::format::{Crc, FIXED, Fault, Lengths, MAGIC, SegmentHead, TargetId};
use crate::storage::{File, read_up_to};

/// Bytes that are looked at together.
const WINDOW: usize = 64 * 1024;

/// A record as it lies in a segment; no more of its head than the index needs.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) number: u64,
    pub(crate) takers: Vec<TargetId>,
    pub(crate) surface: SurfaceId,
    pub(crate) received: SystemTime,
    pub(crate) offset: u64,
    pub(crate) before_body: u32,
    pub(crate) bytes: u64,
    /// The body is there, and is what was written as far as that was looked at.
    pub(crate) whole: bool,
}

/// What a segment holds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) found: Vec<Found>,
    /// Numbers whose records may have lain in bytes that cannot be read.
    pub(crate) gaps: Vec<Range<u64>>,
    /// Stretches of such bytes.
    pub(crate) stretches: u64,
    /// End of the last thing that is whole.
    pub(crate) good: u64,
}

/// The head of a segment, and its length.
pub(crate) fn head_of(file: &dyn File) -> io::Result<Result<(SegmentHead, usize), Fault>> {
    // Names are bounded by the configuration; a table beyond this is none of ours.
    let mut bytes = vec![0; WINDOW * 4];
    let filled = read_up_to(file, 0, &mut bytes)?;
    bytes.truncate(filled);
    Ok(SegmentHead::decode(&bytes))
}

/// Where and how far to read.
#[derive(Debug)]
pub(crate) struct Scanner {
    pub(crate) file: Arc<dyn File>,
    pub(crate) len: u64,
    pub(crate) crc: Crc,
    /// Read bodies as well.
    pub(crate) bodies: bool,
    /// Numbers that the segment may hold; the end is unknown for the last segment.
    pub(crate) numbers: Range<u64>,
}

impl Scanner {
    /// Reads from `start` to the end.
    pub(crate) fn run(&self, start: u64) -> io::Result<Scan> {
        let mut scan = Scan {
            good: start,
            ..Scan::default()
        };
        let (mut at, mut expected) = (start, self.numbers.start);
        while at < self.len {
            let found = match self.record_at(at)? {
                Some(found) if self.fits(&found, expected) => found,
                _ => {
                    let next = self.resync(at + 1, expected)?;
                    scan.stretches += 1;
                    let until = next
                        .as_ref()
                        .map_or(self.tail(expected), |found| found.number);
                    if expected < until {
                        scan.gaps.push(expected..until);
                    }
                    match next {
                        Some(found) => found,
                        None => break,
                    }
                }
            };
            expected = found.number + 1;
            at = found.offset + u64::from(found.before_body) + found.bytes;
            if found.whole {
                scan.good = at;
            } else {
                scan.stretches += 1;
            }
            scan.found.push(found);
        }
        Ok(scan)
    }

    /// The end of the numbers that a segment's last bytes may have held.
    fn tail(&self, expected: u64) -> u64 {
        match self.numbers.end {
            u64::MAX => expected.saturating_add(1),
            end => end,
        }
    }

    fn fits(&self, found: &Found, expected: u64) -> bool {
        (expected..self.numbers.end).contains(&found.number)
    }

    /// The next record whose head has not been damaged.
    fn resync(&self, from: u64, expected: u64) -> io::Result<Option<Found>> {
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
                if let Some(found) = self.record_at(at + offset as u64)?
                    && self.fits(&found, expected)
                {
                    return Ok(Some(found));
                }
            }
            // A magic may lie across the edge.
            at += (filled - MAGIC.len() + 1) as u64;
        }
        Ok(None)
    }

    fn record_at(&self, offset: u64) -> io::Result<Option<Found>> {
        let mut bytes = vec![0; 1_024];
        let filled = read_up_to(&*self.file, offset, &mut bytes)?;
        bytes.truncate(filled);
        let Some(lengths) = bytes.get(..FIXED).and_then(Lengths::decode) else {
            return Ok(None);
        };
        let end = FIXED + lengths.head as usize;
        if bytes.len() < end {
            let have = bytes.len();
            bytes.resize(end, 0);
            let rest = bytes.get_mut(have..).unwrap_or_default();
            if read_up_to(&*self.file, offset + have as u64, rest)? < end - have {
                return Ok(None);
            }
        }
        let head = bytes
            .get(FIXED..end)
            .and_then(|head| lengths.head(head, self.crc));
        let Some(head) = head else {
            return Ok(None);
        };
        let is_there = offset.saturating_add(lengths.whole()) <= self.len;
        Ok(Some(Found {
            number: head.number,
            takers: head.takers,
            surface: head.head.surface,
            received: head.head.received,
            offset,
            before_body: u32::try_from(end).unwrap_or(u32::MAX),
            bytes: lengths.body,
            whole: is_there && (!self.bodies || self.is_whole(offset, lengths)?),
        }))
    }

    fn is_whole(&self, offset: u64, lengths: Lengths) -> io::Result<bool> {
        let mut hasher = self.crc.start();
        let mut window = vec![0; WINDOW];
        let (mut at, mut left) = (offset + lengths.before_body(), lengths.body);
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
        Ok(hasher.finalize() == lengths.body_crc)
    }
}
