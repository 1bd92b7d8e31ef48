//! Damage and other anomalies in a spool directory.

use std::fmt;

use super::inspected::Inspected;
use crate::directory::{ScannedSegment, SegmentFile};
use crate::format::FormatError;

/// A range of bytes in a spool directory that is not what a spool would have written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the file.
    pub file: String,
    /// The start of the range, in bytes.
    pub offset: u64,
    /// The length of the range, in bytes.
    pub len: u64,
    /// What is wrong in the range.
    pub kind: FindingKind,
}

/// What is wrong at a [`Finding`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingKind {
    /// The head of a segment is damaged. Its records may be whole.
    SegmentHead,
    /// Bytes between records cannot be read as record heads. The numbers of the records around them show
    /// how many records were there.
    RecordHead,
    /// The body of one record is damaged.
    Body,
    /// The file ends inside a record, although the process went on to write another file or closed cleanly.
    CutShort,
    /// An incomplete record at the end of the last segment: a process was killed while it wrote.
    TornTail,
    /// An incomplete record at the end of the segment that a relay is writing.
    BeingWritten,
    /// A cursor slot is damaged. No record is lost if the other slot is whole.
    Cursors,
    /// This many records are pending according to the cursors, but not in any file.
    Missing(u64),
    /// A file that no spool has written.
    ForeignFile,
    /// A file that a newer pyrotee wrote, in this version of the format.
    NewerVersion(u32),
    /// The operating system cannot read the file: the text of its error.
    Unreadable(String),
}

impl FindingKind {
    /// Whether the finding is damage. An incomplete record that a relay is writing, a foreign file, and a file that the
    /// operating system cannot read are no damage.
    pub fn is_damage(&self) -> bool {
        !matches!(
            self,
            Self::BeingWritten | Self::ForeignFile | Self::Unreadable(_)
        )
    }
}

impl fmt::Display for FindingKind {
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

/// The findings in one segment, in the order of their offsets.
pub(super) fn of_segment(
    found: &Inspected,
    segment: &SegmentFile,
    scanned: &ScannedSegment,
) -> Vec<Finding> {
    let finding = |offset, end: u64, kind| Finding {
        file: segment.name.clone(),
        offset,
        len: end.saturating_sub(offset),
        kind,
    };
    // A process writes at the very end of the last segment only.
    let tail = |otherwise| match (found.in_use, found.cursors.clean) {
        _ if !segment.is_last() => otherwise,
        (true, _) => FindingKind::BeingWritten,
        (false, false) => FindingKind::TornTail,
        (false, true) => otherwise,
    };
    if scanned.is_begun {
        // A process was killed while it began the segment, or is beginning the segment now.
        return Vec::new();
    }
    let records = &scanned.scan.records;
    let mut findings = Vec::new();
    let mut at = scanned.start;
    match scanned.head_error {
        Some(FormatError::Newer(version)) => {
            return vec![finding(0, segment.len, FindingKind::NewerVersion(version))];
        }
        Some(FormatError::Damaged) => {
            let until = records.first().map_or(segment.len, |record| record.offset);
            let kind = match records.is_empty() {
                true => tail(FindingKind::SegmentHead),
                false => FindingKind::SegmentHead,
            };
            findings.push(finding(0, until, kind));
            at = until;
        }
        None => {}
    }
    for record in records {
        if at < record.offset {
            findings.push(finding(at, record.offset, FindingKind::RecordHead));
        }
        let body = record.offset + u64::from(record.before_body);
        at = record.end();
        if at > segment.len {
            findings.push(finding(
                record.offset,
                segment.len,
                tail(FindingKind::CutShort),
            ));
        } else if !record.whole {
            findings.push(finding(body, at, FindingKind::Body));
        }
    }
    if at < segment.len {
        findings.push(finding(at, segment.len, tail(FindingKind::RecordHead)));
    }
    findings
}
