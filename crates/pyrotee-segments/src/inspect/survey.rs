//! How much is pending in a spool, per target.

use std::time::SystemTime;

use pyrotee_queue::Tally;

use super::finding::of_segment;
use super::inspected::ListedTarget;
use super::{Directory, InspectError};
use crate::directory::{ScannedRecord, SegmentFile};

/// The state of a spool directory at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Whether a process has the spool open.
    pub in_use: bool,
    /// Whether the last process that used the spool closed it.
    pub clean: bool,
    /// Number of segments.
    pub segments: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Number of quarantined segments.
    pub quarantined: u64,
    /// Bytes of all quarantined segments.
    pub quarantined_bytes: u64,
    /// Names of files that no spool has written.
    pub foreign: Vec<String>,
    /// Number of damaged places that are found without reading bodies.
    pub damages: u64,
    /// The targets that were configured last or have pending records, in the order of their names.
    pub targets: Vec<TargetSurvey>,
}

/// How much is pending for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSurvey {
    /// The name of the target.
    pub name: String,
    /// Whether the target belongs to the configuration.
    pub membership: Membership,
    /// Records that are pending for the target.
    pub pending: Tally,
    /// When the oldest pending record was received. `None`: no record is pending.
    pub oldest: Option<SystemTime>,
    /// Records that were in flight when the cursors were last saved. They may be sent twice.
    pub in_flight: u64,
}

/// Whether a target belonged to the configuration when the cursors were last saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// The target was configured.
    Configured,
    /// The target was removed. Its pending records are dropped once it has been removed for long enough.
    Removed,
}

impl Directory {
    /// Counts pending records. Reads the heads of all records, and no body.
    ///
    /// # Errors
    /// The directory is no spool, a newer pyrotee wrote it, or it cannot be read.
    pub fn survey(&self) -> Result<Survey, InspectError> {
        let found = self.look_at_readable()?;
        let targets = found.targets().into_iter();
        let mut targets: Vec<_> = targets.map(TargetCount::of).collect();
        let listing = &found.listing;
        let mut damages = listing.bad_slots.len() as u64;
        for segment in &listing.segments {
            let Some(scanned) = self.scan(&found, segment)? else {
                continue;
            };
            let findings = of_segment(&found, segment, &scanned);
            damages += findings.iter().filter(|it| it.kind.is_damage()).count() as u64;
            for record in scanned.scan.records.iter().filter(|it| it.whole) {
                for target in &mut targets {
                    target.add(record);
                }
            }
        }
        let mut targets: Vec<_> = targets
            .into_iter()
            .filter_map(TargetCount::survey)
            .collect();
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        let bytes = |of: &[SegmentFile]| of.iter().map(|it| it.len).sum();
        Ok(Survey {
            in_use: found.in_use,
            clean: found.cursors.clean && !found.in_use,
            segments: listing.segments.len() as u64,
            bytes: bytes(&listing.segments),
            quarantined: listing.quarantined.len() as u64,
            quarantined_bytes: bytes(&listing.quarantined),
            foreign: listing
                .foreign
                .iter()
                .map(|(file, _)| file.clone())
                .collect(),
            damages,
            targets,
        })
    }
}

/// Counts the pending records of one target.
struct TargetCount {
    target: ListedTarget,
    pending: Tally,
    oldest: Option<SystemTime>,
}

impl TargetCount {
    fn of(target: ListedTarget) -> Self {
        Self {
            target,
            pending: Tally::default(),
            oldest: None,
        }
    }

    fn add(&mut self, record: &ScannedRecord) {
        if self.target.wants(record.number, &record.takers) {
            self.pending.add(record.bytes);
            let oldest = self
                .oldest
                .map_or(record.received, |it| it.min(record.received));
            self.oldest = Some(oldest);
        }
    }

    /// The result for the target. `None`: the target is not configured and no record is pending for it, although files
    /// still list it.
    fn survey(self) -> Option<TargetSurvey> {
        let is_configured = self.target.is_configured;
        let is_shown = is_configured == Some(true) || self.pending.profiles > 0;
        is_shown.then_some(TargetSurvey {
            name: self.target.name,
            // The cursors of removed targets are kept, so a target without a cursor was added after the
            // cursors were saved.
            membership: match is_configured {
                Some(false) => Membership::Removed,
                Some(true) | None => Membership::Configured,
            },
            pending: self.pending,
            oldest: self.oldest,
            in_flight: self.target.in_flight,
        })
    }
}
