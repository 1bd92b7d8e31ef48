//! What is not as it was written.

use std::fmt;

use super::listing::{Listing, Scanned, Segment};
use crate::format::Fault;

/// A place in a spool directory that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file's name.
    pub file: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub len: u64,
    /// What it is.
    pub what: What,
}

/// What a finding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The head of a segment; its records may be whole.
    SegmentHead,
    /// Where heads of records should be; how many there were shows from the numbers around them.
    RecordHead,
    /// The body of one record.
    Body,
    /// The file ends inside of a record, and a process wrote on after it.
    CutShort,
    /// The end of what a process wrote when it was killed.
    TornTail,
    /// The end of what a relay is writing at this moment.
    BeingWritten,
    /// A cursor slot. If the other one is whole, nothing is lost.
    Cursors,
    /// Records that the cursors call pending are in no file.
    Missing(u64),
    /// No spool has written it.
    ForeignFile,
    /// A later version of pyrotee has written it: the version.
    NewerVersion(u32),
    /// The operating system does not give it: what it says.
    Unreadable(String),
}

impl What {
    /// Whether it should not be so: a relay at work and files of somebody else do no harm.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::BeingWritten | Self::ForeignFile)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SegmentHead => "damaged head of the segment",
            Self::RecordHead => "damaged head of a record",
            Self::Body => "damaged body of a record",
            Self::CutShort => "the file is cut short",
            Self::TornTail => "torn tail",
            Self::BeingWritten => "being written",
            Self::Cursors => "damaged cursors",
            Self::Missing(1) => "1 record is missing",
            Self::Missing(records) => return write!(f, "{records} records are missing"),
            Self::ForeignFile => "foreign file",
            Self::NewerVersion(version) => return write!(f, "newer version ({version})"),
            Self::Unreadable(error) => return write!(f, "cannot be read: {error}"),
        })
    }
}

/// What is wrong with a segment, in the order of its bytes.
pub(super) fn of_segment(listing: &Listing, segment: &Segment, scanned: &Scanned) -> Vec<Finding> {
    let finding = |offset, end: u64, what| Finding {
        file: segment.file.clone(),
        offset,
        len: end.saturating_sub(offset),
        what,
    };
    // What a process was writing when it ended lies at the very end.
    let tail = |otherwise| match (listing.in_use, listing.cursors.clean) {
        _ if !segment.is_last() => otherwise,
        (true, _) => What::BeingWritten,
        (false, false) => What::TornTail,
        (false, true) => otherwise,
    };
    let found = &scanned.scan.found;
    let mut findings = Vec::new();
    let mut at = scanned.start;
    match scanned.fault {
        Some(Fault::Newer(version)) => {
            return vec![finding(0, segment.len, What::NewerVersion(version))];
        }
        Some(Fault::Damaged) => {
            let until = found.first().map_or(segment.len, |found| found.offset);
            let what = match found.is_empty() {
                true => tail(What::SegmentHead),
                false => What::SegmentHead,
            };
            findings.push(finding(0, until, what));
            at = until;
        }
        None => {}
    }
    for found in found {
        if at < found.offset {
            findings.push(finding(at, found.offset, What::RecordHead));
        }
        let body = found.offset + u64::from(found.before_body);
        at = body.saturating_add(found.bytes);
        if at > segment.len {
            findings.push(finding(found.offset, segment.len, tail(What::CutShort)));
        } else if !found.whole {
            findings.push(finding(body, at, What::Body));
        }
    }
    if at < segment.len {
        findings.push(finding(at, segment.len, tail(What::RecordHead)));
    }
    findings
}
