//! Gives a process what recovery has read: cursors, segments, and the records of all takers.

use std::ops::Range;
use std::sync::Arc;

use tracing::{info, warn};

use super::adopt::{Adopted, Found};
use super::cursors;
use super::numbers::{next_number, unknown_numbers};
use super::{ReadSegment, RecoveredSegment, RecoveredSpool};
use crate::format::Names;
use crate::segments::{Segment, UnreadSegment};
use crate::shared::Shared;

/// Fills tracker, queues and accounts with what was recovered. `configured`: the names of the targets, in the order of
/// their queues. Returns the number of the next record and the names for new segments.
pub(crate) fn begin(
    recovered: RecoveredSpool,
    configured: &[String],
    shared: &Shared,
) -> (u64, Names) {
    let next = next_number(&recovered);
    let now = shared.clock.now();
    let begun = cursors::begin(&recovered, configured, next, now);
    let removed = begun.cursors.len().saturating_sub(configured.len());
    shared.add_removed(removed);
    let counters = &shared.counters;
    counters.quarantined.set(recovered.quarantined.profiles);
    counters.quarantined_bytes.set(recovered.quarantined.bytes);
    let unknown = unknown_numbers(&recovered.cursors, next);
    // If the spool was closed, no record was written after the cursors.
    let is_clean = recovered.cursors.clean;
    let end_of_gaps = match is_clean {
        true => recovered.cursors.horizon(),
        false => next,
    };
    shared.tracker.with(|tracker| {
        tracker.cursors = begun.cursors;
        tracker.unknown = unknown;
        tracker.unsaved = 1;
    });
    let mut adopted = Adopted::default();
    let first = recovered.segments.first();
    adopt_absent(
        0..first.map_or(next, RecoveredSegment::first),
        shared,
        &mut adopted,
    );
    for mut segment in recovered.segments {
        if let Some(read) = &mut segment.read {
            read.scan.end_gaps(end_of_gaps);
        }
        adopt_segment(segment, next, is_clean, shared, &mut adopted);
    }
    for claim in &adopted.claims {
        let in_flight = begun.in_flight.get(usize::from(claim.target));
        let again = in_flight.is_some_and(|it| it.contains(&claim.record.number));
        counters.redelivered.add(u64::from(again));
    }
    adopted.apply(shared);
    for (_, removed) in shared.removed_targets() {
        let (target, records) = (removed.name, removed.counts.pending.profiles);
        warn!(
            target,
            records, "target is not configured, its spooled records are kept for a day"
        );
    }
    (next, begun.names)
}

/// Counts what is missing of numbers that are in no segment.
fn adopt_absent(numbers: Range<u64>, shared: &Shared, adopted: &mut Adopted) {
    let found = Found {
        segment: numbers.start,
        numbers: &numbers,
        records: &[],
        gaps: &[],
    };
    let tracker = &shared.tracker;
    tracker.with(|state| state.adopt(found, tracker, adopted));
}

/// Adopts a segment. One that could not be read waits to be read again.
fn adopt_segment(
    segment: RecoveredSegment,
    next: u64,
    is_clean: bool,
    shared: &Shared,
    adopted: &mut Adopted,
) {
    let (first, is_last) = (segment.first(), segment.is_last());
    let numbers = first..segment.numbers.end.min(next);
    let mut tracked = Segment {
        bytes: segment.len,
        closed: true,
        ..Segment::default()
    };
    let tracker = &shared.tracker;
    let Some(read) = segment.read else {
        tracked.unread = Some(UnreadSegment {
            numbers: numbers.clone(),
            modified: segment.modified,
            may_be_torn: is_last && !is_clean,
        });
        tracker.with(|state| {
            state.segments.insert(first, tracked);
            // What a new target finds is not for it.
            for cursor in state.cursors.iter_mut().filter(|it| it.is_new) {
                cursor.settled.insert(numbers.clone());
            }
        });
        return;
    };
    shared
        .counters
        .corrupt_stretches
        .add(read.scan.damaged_ranges);
    if read.scan.damaged_ranges > 0 {
        warn!(segment = first, "segment of the spool is damaged");
    }
    tracked.bytes = read.bytes;
    tracked.damaged = read.damaged;
    tracked.file = Some(Arc::clone(&read.file));
    let found = Found {
        segment: first,
        numbers: &numbers,
        records: &read.scan.records,
        gaps: &read.scan.gaps,
    };
    tracker.with(|state| {
        state.segments.insert(first, tracked);
        state.adopt(found, tracker, adopted);
    });
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
