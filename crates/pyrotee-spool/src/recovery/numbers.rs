//! The next free record number, and the numbers for which it is unknown whether there is a record.

use pyrotee_segments::{Cursors, NumberSet, SHORTEST_RECORD};

use super::RecoveredSpool;

/// The number of the next record, above all numbers that earlier processes may have given out.
pub(super) fn next_number(recovered: &RecoveredSpool) -> u64 {
    let seen = recovered.segments.iter().map(|segment| {
        let first = segment.first();
        let last = match &segment.read {
            Some(read) => read
                .scan
                .records
                .last()
                .map_or(first, |record| record.number),
            // The file holds at most this many records.
            None if segment.is_last() && !recovered.cursors.clean => {
                first + segment.len / SHORTEST_RECORD
            }
            None => first,
        };
        last + 1
    });
    // A record may have been offered and settled, but not written, after `next` was read for the saved cursors.
    let targets = recovered.cursors.targets.iter();
    let settled = targets.filter_map(|target| target.settled.ranges().last());
    let settled = settled.map(|range| range.end).max();
    let seen = seen.max().unwrap_or(0).max(settled.unwrap_or(0));
    seen.max(recovered.cursors.next)
}

/// The numbers below `next` for which the cursors do not tell whether there ever was a record.
pub(super) fn unknown_numbers(cursors: &Cursors, next: u64) -> NumberSet {
    let mut unknown = cursors.unknown.clone();
    unknown.insert(cursors.horizon()..next);
    unknown
}
