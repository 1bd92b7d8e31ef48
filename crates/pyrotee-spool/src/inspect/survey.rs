//! What waits in a spool, and for whom.

use std::time::SystemTime;

use pyrotee_queue::Tally;

use super::finding::of_segment;
use super::listing::{Listing, View};
use super::{Directory, InspectError};
use crate::format::Fault;
use crate::recovery::Found;

/// A spool directory at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// A process has it open.
    pub in_use: bool,
    /// The process that used it last closed it.
    pub clean: bool,
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Damaged segments that were set aside.
    pub quarantined: u64,
    /// Their bytes.
    pub quarantined_bytes: u64,
    /// Files that no spool has written.
    pub foreign: Vec<String>,
    /// Damages, as far as they show without reading every body.
    pub damages: u64,
    /// Everybody that something waits for or that was configured last, in the order of their names.
    pub targets: Vec<TargetSurvey>,
}

/// What waits for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSurvey {
    /// Its name.
    pub name: String,
    /// Whether it was part of the configuration.
    pub standing: Standing,
    /// Records that it has not settled, and the length of their bodies.
    pub pending: Tally,
    /// When the oldest of them was received.
    pub oldest: Option<SystemTime>,
    /// Those that were being delivered when the cursors were last saved: they may arrive twice.
    pub in_flight: u64,
}

/// Whether a target was part of the configuration when the cursors were last saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was.
    Configured,
    /// It was not: what waits for it goes when it has been away for long.
    Removed,
}

impl Directory {
    /// Counts what waits. Reads the heads of all records, and the bodies of none.
    ///
    /// # Errors
    /// It is no spool, a newer pyrotee wrote it, or the disk does not give it.
    pub fn survey(&self) -> Result<Survey, InspectError> {
        let listing = self.readable_listing()?;
        let mut targets: Vec<_> = listing.views().into_iter().map(Count::of).collect();
        let mut damages = listing.bad_slots.len() as u64;
        for segment in &listing.segments {
            let scanned = self.scan(&listing, segment, None);
            let scanned = scanned.map_err(|source| self.failed(&segment.file, source))?;
            let Some(scanned) = scanned else { continue };
            if let Some(Fault::Newer(version)) = scanned.fault {
                return Err(self.newer(&segment.file, version));
            }
            let findings = of_segment(&listing, segment, &scanned);
            damages += findings.iter().filter(|it| it.what.is_damage()).count() as u64;
            for found in scanned.scan.found.iter().filter(|found| found.whole) {
                for count in &mut targets {
                    count.add(found);
                }
            }
        }
        let mut targets: Vec<_> = targets.into_iter().filter_map(Count::told).collect();
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        let bytes = |of: &[super::listing::Segment]| of.iter().map(|it| it.len).sum();
        Ok(Survey {
            in_use: listing.in_use,
            clean: listing.cursors.clean && !listing.in_use,
            segments: listing.segments.len() as u64,
            bytes: bytes(&listing.segments),
            quarantined: listing.quarantined.len() as u64,
            quarantined_bytes: bytes(&listing.quarantined),
            foreign: listing.foreign.into_iter().map(|(file, _)| file).collect(),
            damages,
            targets,
        })
    }

    /// What is there, if this version can read it.
    pub(super) fn readable_listing(&self) -> Result<Listing, InspectError> {
        let listing = Listing::of(self)?;
        let newer = listing.bad_slots.iter().find_map(|(slot, _, fault)| {
            let Fault::Newer(version) = fault else {
                return None;
            };
            Some(self.newer(slot, *version))
        });
        newer.map_or(Ok(listing), Err)
    }

    pub(super) fn newer(&self, file: &str, version: u32) -> InspectError {
        InspectError::Newer {
            file: self.dir.join(file),
            version,
        }
    }
}

/// The count of one target while it grows.
struct Count {
    view: View,
    pending: Tally,
    oldest: Option<SystemTime>,
}

impl Count {
    fn of(view: View) -> Self {
        Self {
            view,
            pending: Tally::default(),
            oldest: None,
        }
    }

    fn add(&mut self, found: &Found) {
        if self.view.wants(found.number, &found.takers) {
            self.pending.profiles += 1;
            self.pending.bytes += found.bytes;
            let older = self.oldest.is_none_or(|oldest| found.received < oldest);
            if older {
                self.oldest = Some(found.received);
            }
        }
    }

    /// `None`: files still mention it, and that is all.
    fn told(self) -> Option<TargetSurvey> {
        let is_configured = self.view.is_configured;
        let is_told = is_configured == Some(true) || self.pending.profiles > 0;
        is_told.then_some(TargetSurvey {
            name: self.view.name,
            // Those of removed targets are kept: what no cursor mentions came after they were saved.
            standing: match is_configured {
                Some(false) => Standing::Removed,
                Some(true) | None => Standing::Configured,
            },
            pending: self.pending,
            oldest: self.oldest,
            in_flight: self.view.in_flight,
        })
    }
}
