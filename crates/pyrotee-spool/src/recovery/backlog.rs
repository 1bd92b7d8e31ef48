//! The records that earlier processes left, before they are added to the tracker, the queues and the accounts of this
//! process.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::Tally;
use tracing::{info, warn};

use super::adopt::{Adopted, Found};
use super::cursors;
use super::numbers::unknown_numbers;
use super::{ReadSegment, RecoveredSegment, RecoveredSpool};
use crate::segments::{Segment, UnreadSegment};
use crate::shared::Shared;
use crate::tracker::{SettlementTracker, TrackerState};

/// The records and cursors that earlier processes left.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// The number of the next record.
    next: u64,
    /// The cursors, first those of the targets of this process, and the segments.
    pub(crate) state: TrackerState,
    /// The claims and lost records of all targets.
    pub(crate) adopted: Adopted,
    /// Damaged ranges of bytes.
    pub(crate) damages: u64,
    /// Pending records that were in flight when the cursors were saved, counted once per target.
    pub(crate) redelivered: u64,
    /// Quarantined segments: their number, and their bytes.
    pub(crate) quarantined: Tally,
}

impl Backlog {
    /// Collects the recovered records of the targets named in `names`, which are those of this process, and of removed
    /// targets. The records will be settled with `tracker`, whose state does not change yet.
    pub(crate) fn of(
        recovered: &RecoveredSpool,
        names: &[String],
        tracker: &Arc<SettlementTracker>,
        now: SystemTime,
    ) -> Self {
        let next = recovered.next_number();
        let begun = cursors::begin(recovered, names, next, now);
        let first = recovered.segments.first();
        let mut backlog = Self {
            next,
            state: TrackerState {
                cursors: begun.cursors,
                names: Some(begun.names),
                unknown: unknown_numbers(&recovered.cursors, next),
                unsaved: 1,
                ..TrackerState::default()
            },
            adopted: Adopted::default(),
            damages: 0,
            redelivered: 0,
            quarantined: recovered.quarantined,
        };
        backlog.adopt_absent(0..first.map_or(next, RecoveredSegment::first), tracker);
        for segment in &recovered.segments {
            backlog.adopt(segment, recovered.cursors.clean, tracker);
        }
        let claims = backlog.adopted.claims.iter();
        let redelivered = claims.filter(|claim| {
            let in_flight = begun.in_flight.get(usize::from(claim.target));
            in_flight.is_some_and(|it| it.contains(&claim.record.number()))
        });
        backlog.redelivered = redelivered.count() as u64;
        backlog
    }

    /// Counts the missing records with numbers that are in no segment.
    fn adopt_absent(&mut self, numbers: Range<u64>, tracker: &Arc<SettlementTracker>) {
        let found = Found {
            segment: numbers.start,
            numbers: &numbers,
            records: &[],
            gaps: &[],
        };
        self.state.adopt(found, tracker, &mut self.adopted);
    }

    /// Adopts a segment. A segment that could not be read is kept to be read again.
    fn adopt(
        &mut self,
        segment: &RecoveredSegment,
        is_clean: bool,
        tracker: &Arc<SettlementTracker>,
    ) {
        let (first, is_last) = (segment.first(), segment.is_last());
        let numbers = first..segment.numbers.end.min(self.next);
        let mut tracked = Segment {
            bytes: segment.len,
            closed: true,
            ..Segment::default()
        };
        let Some(read) = &segment.read else {
            // Nothing tells of records for the target from here on: it was new or removed when the cursors were saved.
            for cursor in &mut self.state.cursors {
                let undescribed = cursor.described_below.max(numbers.start)..numbers.end;
                cursor.settled.insert(undescribed);
            }
            tracked.unread = Some(UnreadSegment {
                numbers,
                modified: segment.modified,
                may_be_torn: is_last && !is_clean,
            });
            self.state.segments.insert(first, tracked);
            return;
        };
        self.damages += read.scan.damaged_ranges;
        if read.scan.damaged_ranges > 0 {
            warn!(segment = first, "segment of the spool is damaged");
        }
        tracked.bytes = read.bytes;
        tracked.damaged = read.damaged;
        tracked.file = Some(Arc::clone(&read.file));
        self.state.segments.insert(first, tracked);
        let found = Found {
            segment: first,
            numbers: &numbers,
            records: &read.scan.records,
            gaps: &read.scan.gaps,
        };
        self.state.adopt(found, tracker, &mut self.adopted);
    }
}

/// Adopts a segment that could not be read at the start, once it can be read.
pub(crate) fn adopt_late(numbers: &Range<u64>, read: &ReadSegment, shared: &Shared) {
    let segment = numbers.start;
    let found = Found {
        segment,
        numbers,
        records: &read.scan.records,
        gaps: &read.scan.gaps,
    };
    let mut adopted = Adopted::default();
    let tracker = &shared.tracker;
    tracker.with(|state| {
        // The records may have been lost meanwhile; then the segment does not count as unread any more.
        let tracked = state.segments.get(segment);
        if tracked.is_some_and(|tracked| tracked.unread.is_some()) {
            let file = Arc::clone(&read.file);
            let segments = &mut state.segments;
            segments.note_read(segment, file, read.bytes, read.damaged);
            state.adopt(found, tracker, &mut adopted);
        }
    });
    shared
        .counters
        .corrupt_stretches
        .add(read.scan.damaged_ranges);
    let (records, lost) = (adopted.claims.len(), adopted.lost.len());
    info!(
        segment,
        records, lost, "segment of the spool can be read again"
    );
    adopted.apply(shared);
}
