//! Reads every byte of a spool, and reports damage and the records that are lost by it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::finding::{Finding, FindingKind, of_segment};
use super::inspected::{Inspected, ListedTarget};
use super::{Directory, InspectError};
use crate::directory::{OnRead, ScannedSegment};
use crate::format::{FormatError, NumberSet, TargetId};

/// The result of reading every byte of a spool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Whether a process has the spool open. Records that it settles and segments that it unlinks meanwhile
    /// are not reported as missing.
    pub in_use: bool,
    /// Number of segments that were read.
    pub segments: u64,
    /// Bytes of the segments that were read.
    pub bytes: u64,
    /// Number of whole records, pending or not.
    pub records: u64,
    /// Number of segments that were quarantined before. They are not read.
    pub quarantined: u64,
    /// Damage and other anomalies, in the order of files and offsets.
    pub findings: Vec<Finding>,
    /// Number of records that cannot be delivered any more, by the name of the target.
    pub undeliverable: BTreeMap<String, u64>,
}

impl VerifyReport {
    /// Whether everything was read and no damage was found.
    pub fn is_whole(&self) -> bool {
        let is_unread = |kind: &FindingKind| matches!(kind, FindingKind::Unreadable(_));
        let is_whole = |kind: &FindingKind| !kind.is_damage() && !is_unread(kind);
        self.findings.iter().all(|it| is_whole(&it.kind))
    }
}

/// The records of all segments that were read so far.
#[derive(Default)]
struct SeenRecords {
    /// Numbers of whole records.
    whole: NumberSet,
    /// Numbers and takers of damaged records.
    damaged: Vec<(u64, Vec<TargetId>)>,
    /// Numbers of records that may have been in damaged bytes.
    gaps: Vec<Range<u64>>,
    /// Numbers of records that may be in segments that were not read.
    unread: Vec<Range<u64>>,
}

impl Directory {
    /// Total length of all segments, in bytes.
    ///
    /// # Errors
    /// The directory is no spool or cannot be read.
    pub fn bytes(&self) -> Result<u64, InspectError> {
        Ok(self.look()?.listing.bytes())
    }

    /// Checks both checksums of every record, the heads of segments and the cursors. Keeps no body in memory.
    /// Calls `on_read` with the number of bytes that were read since the last call: each byte of a segment counts once,
    /// [`VerifyReport::bytes`] in all.
    ///
    /// # Errors
    /// The directory is no spool or cannot be read.
    pub fn verify(
        &self,
        on_read: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<VerifyReport, InspectError> {
        let found = self.look()?;
        let listing = &found.listing;
        let salt = listing.salt.unwrap_or_default();
        let mut report = VerifyReport {
            in_use: found.in_use,
            quarantined: listing.quarantined.len() as u64,
            ..VerifyReport::default()
        };
        for slot in &listing.bad_slots {
            report.findings.push(Finding {
                file: slot.name.to_owned(),
                offset: 0,
                len: slot.len,
                kind: match slot.error {
                    FormatError::Damaged => FindingKind::Cursors,
                    FormatError::Newer(version) => FindingKind::NewerVersion(version),
                },
            });
        }
        let on_read: OnRead = Arc::new(move |bytes| {
            on_read(bytes);
            Ok(())
        });
        let mut seen = SeenRecords::default();
        for segment in &listing.segments {
            match segment.scan(&*self.storage, salt, true, Some(&on_read)) {
                Ok(None) => {}
                Ok(Some(scanned)) => {
                    let findings = of_segment(&found, segment, &scanned);
                    let is_being_written = |it: &Finding| it.kind == FindingKind::BeingWritten;
                    let being_written = findings.iter().any(is_being_written);
                    report.findings.extend(findings);
                    report.segments += 1;
                    report.bytes += segment.len;
                    report.records += seen.add(scanned, being_written);
                }
                Err(error) => {
                    seen.unread.push(segment.numbers.clone());
                    report.findings.push(Finding {
                        file: segment.name.clone(),
                        offset: 0,
                        len: segment.len,
                        kind: FindingKind::Unreadable(error.to_string()),
                    });
                }
            }
        }
        report.count_undeliverable(&found, &seen);
        let foreign = found
            .listing
            .foreign
            .into_iter()
            .map(|(file, len)| Finding {
                file,
                offset: 0,
                len,
                kind: FindingKind::ForeignFile,
            });
        report.findings.extend(foreign);
        Ok(report)
    }
}

impl SeenRecords {
    /// Adds the records of a segment, and returns how many of them are whole.
    fn add(&mut self, scanned: ScannedSegment, being_written: bool) -> u64 {
        let mut whole = 0;
        let mut records = scanned.scan.records.into_iter().peekable();
        while let Some(record) = records.next() {
            if record.whole {
                whole += 1;
                self.whole.insert(record.number..record.number + 1);
            } else if !being_written || records.peek().is_some() {
                self.damaged.push((record.number, record.takers));
            }
        }
        self.gaps.extend(scanned.scan.gaps);
        whole
    }

    /// How many records can never be delivered to `target`, and for how many of them no damage was found.
    fn undeliverable(&self, found: &Inspected, target: &ListedTarget) -> (u64, u64) {
        let mut known = self.whole.clone();
        let mut undeliverable = 0;
        for (number, takers) in &self.damaged {
            if target.wants(*number, takers) && !known.contains(*number) {
                undeliverable += 1;
            }
            known.insert(*number..*number + 1);
        }
        for range in target.settled.ranges() {
            known.insert(range);
        }
        let unread = self.unread.iter().cloned();
        for range in unread.chain(found.cursors.unknown.ranges()) {
            known.insert(range);
        }
        let mut unexplained = 0;
        if !found.in_use {
            // Records below the horizon that are neither settled nor in a segment are missing.
            for missing in known.gaps(0..target.horizon) {
                undeliverable += missing.end - missing.start;
                unexplained += missing.end - missing.start;
                for gap in &self.gaps {
                    let (start, end) = (missing.start.max(gap.start), missing.end.min(gap.end));
                    unexplained -= end.saturating_sub(start);
                }
            }
            known.insert(0..target.horizon);
        }
        if !found.cursors.clean {
            // Records above the horizon may have been in bytes that cannot be read.
            for gap in &self.gaps {
                let mut before_gap = known.clone();
                before_gap.insert(0..gap.start);
                let missing = before_gap.gaps(0..gap.end);
                undeliverable += missing.iter().map(|it| it.end - it.start).sum::<u64>();
            }
        }
        (undeliverable, unexplained)
    }
}

impl VerifyReport {
    /// Counts undeliverable records per target, and adds a finding if no damage explains them.
    fn count_undeliverable(&mut self, found: &Inspected, seen: &SeenRecords) {
        let mut missing = 0;
        for target in found.targets() {
            let (undeliverable, unexplained) = seen.undeliverable(found, &target);
            missing = missing.max(unexplained);
            if undeliverable > 0 {
                self.undeliverable.insert(target.name, undeliverable);
            }
        }
        if missing > 0 {
            self.findings.push(Finding {
                file: ".".to_owned(),
                offset: 0,
                len: 0,
                kind: FindingKind::Missing(missing),
            });
        }
    }
}
