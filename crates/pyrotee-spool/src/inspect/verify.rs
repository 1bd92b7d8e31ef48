//! Reads every byte, and says what is not as it was written and who is hurt by it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::finding::{Finding, What, of_segment};
use super::listing::{Listing, Scanned, View};
use super::{Directory, InspectError, OnRead};
use crate::format::Fault;
use crate::settled::Settled;

/// What the reading of every byte has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A process has the spool open: what it settles and unlinks meanwhile is not missed.
    pub in_use: bool,
    /// Segments that were read.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that are whole, whoever wants them.
    pub records: u64,
    /// Damaged segments that were set aside before, and are not looked at again.
    pub quarantined: u64,
    /// What was found, in the order of files and offsets.
    pub findings: Vec<Finding>,
    /// Records that cannot be delivered any more, by the names of the targets that wait for them.
    pub hurt: BTreeMap<String, u64>,
}

impl Verdict {
    /// Whether everything is as it was written.
    pub fn is_whole(&self) -> bool {
        !self.findings.iter().any(|it| it.what.is_damage())
    }
}

/// What was read so far of all segments.
#[derive(Default)]
struct Seen {
    /// Numbers of whole records.
    present: Settled,
    /// Numbers of records that are not, and their takers.
    damaged: Vec<(u64, Vec<u16>)>,
    /// Numbers whose records may have lain where nothing can be read.
    gaps: Vec<Range<u64>>,
}

impl Directory {
    /// Bytes of all segments.
    ///
    /// # Errors
    /// It is no spool, or the directory itself cannot be read.
    pub fn bytes(&self) -> Result<u64, InspectError> {
        let segments = Listing::of(self)?.segments;
        Ok(segments.iter().map(|segment| segment.len).sum())
    }

    /// Checks both checksums of every record, the heads of segments and the cursors. Keeps no body in
    /// memory. `on_read` hears of every byte of a segment once, of [`Verdict::bytes`] in all.
    ///
    /// # Errors
    /// It is no spool, or the directory itself cannot be read.
    pub fn verify(&self, on_read: &OnRead) -> Result<Verdict, InspectError> {
        let listing = Listing::of(self)?;
        let mut verdict = Verdict {
            in_use: listing.in_use,
            quarantined: listing.quarantined.len() as u64,
            ..Verdict::default()
        };
        for (slot, len, fault) in &listing.bad_slots {
            verdict.findings.push(Finding {
                file: (*slot).to_owned(),
                offset: 0,
                len: *len,
                what: match fault {
                    Fault::Damaged => What::Cursors,
                    Fault::Newer(version) => What::NewerVersion(*version),
                },
            });
        }
        let mut seen = Seen::default();
        for segment in &listing.segments {
            match self.scan(&listing, segment, Some(on_read)) {
                Ok(None) => {}
                Ok(Some(scanned)) => {
                    let found = of_segment(&listing, segment, &scanned);
                    let being_written = found.iter().any(|it| it.what == What::BeingWritten);
                    verdict.findings.extend(found);
                    verdict.segments += 1;
                    verdict.bytes += segment.len;
                    verdict.records += seen.add(scanned, being_written);
                }
                Err(error) => verdict.findings.push(Finding {
                    file: segment.file.clone(),
                    offset: 0,
                    len: segment.len,
                    what: What::Unreadable(error.to_string()),
                }),
            }
        }
        verdict.judge(&listing, &seen);
        let foreign = listing.foreign.into_iter().map(|(file, len)| Finding {
            file,
            offset: 0,
            len,
            what: What::ForeignFile,
        });
        verdict.findings.extend(foreign);
        Ok(verdict)
    }
}

impl Seen {
    /// Takes note of a segment; how many of its records are whole.
    fn add(&mut self, scanned: Scanned, being_written: bool) -> u64 {
        let mut whole = 0;
        let mut found = scanned.scan.found.into_iter().peekable();
        while let Some(record) = found.next() {
            if record.whole {
                whole += 1;
                self.present.insert(record.number..record.number + 1);
            } else if !being_written || found.peek().is_some() {
                self.damaged.push((record.number, record.takers));
            }
        }
        let mut gaps = scanned.scan.gaps;
        if being_written {
            // The last one is where the relay writes.
            gaps.pop();
        }
        self.gaps.extend(gaps);
        whole
    }

    /// Records that a target can never get, and those among them that no damage explains.
    fn hurt(&self, listing: &Listing, view: &View) -> (u64, u64) {
        let mut have = self.present.clone();
        let mut hurt = 0;
        for (number, takers) in &self.damaged {
            if view.wants(*number, takers) && !have.contains(*number) {
                hurt += 1;
            }
            have.insert(*number..*number + 1);
        }
        for range in view.settled.ranges() {
            have.insert(range);
        }
        let mut unexplained = 0;
        if !listing.in_use {
            // The cursor knows what was pending when it was saved.
            for missing in have.gaps(view.horizon) {
                hurt += missing.end - missing.start;
                unexplained += missing.end - missing.start;
                for gap in &self.gaps {
                    let (start, end) = (missing.start.max(gap.start), missing.end.min(gap.end));
                    unexplained -= end.saturating_sub(start);
                }
            }
            have.insert(0..view.horizon);
        }
        if !listing.cursors.clean {
            // Of what came later, whatever may have lain where nothing can be read.
            for gap in &self.gaps {
                let mut before_gap = have.clone();
                before_gap.insert(0..gap.start);
                let missing = before_gap.gaps(gap.end);
                hurt += missing.iter().map(|it| it.end - it.start).sum::<u64>();
            }
        }
        (hurt, unexplained)
    }
}

impl Verdict {
    /// Tells who is hurt.
    fn judge(&mut self, listing: &Listing, seen: &Seen) {
        let mut missing = 0;
        for view in listing.views() {
            let (hurt, unexplained) = seen.hurt(listing, &view);
            missing = missing.max(unexplained);
            if hurt > 0 {
                self.hurt.insert(view.name, hurt);
            }
        }
        if missing > 0 {
            self.findings.push(Finding {
                file: ".".to_owned(),
                offset: 0,
                len: 0,
                what: What::Missing(missing),
            });
        }
    }
}
