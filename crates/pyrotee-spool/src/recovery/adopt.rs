//! Puts the records of a segment into the queues of their takers, and counts missing records as lost.
//!
//! Segments that can be read are adopted at the start. A segment that could not be read is adopted once a later read
//! succeeds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};

use pyrotee_queue::Tally;
use pyrotee_segments::{NumberSet, ScannedRecord, TargetId};

use crate::shared::Shared;
use crate::spooled_record::{RecordClaim, RecordLocation, SpooledRecord, SpooledState};
use crate::tracker::{Cursor, SettlementTracker, TrackerState};

/// Most records that are counted as lost to one damage: numbers in a damaged file can have any value.
const MOST_LOST: usize = 1 << 20;

/// The records that were found in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// Numbers of the records that may be in the segment.
    pub(crate) numbers: &'a Range<u64>,
    pub(crate) records: &'a [ScannedRecord],
    /// Numbers of records that may have been in damaged bytes.
    pub(crate) gaps: &'a [Range<u64>],
}

/// The claims on the records of segments, and the records that cannot be delivered.
#[derive(Debug, Default)]
pub(crate) struct Adopted {
    /// Claims of targets on pending records.
    pub(crate) claims: Vec<RecordClaim>,
    /// Index of the target and body length, zero if not known, of damaged and missing records.
    pub(crate) lost: Vec<(usize, u64)>,
}

impl Adopted {
    /// Queues the records for their targets, and counts the lost ones. Each target's account changes in one step.
    pub(crate) fn apply(self, shared: &Shared) {
        let counters = &shared.counters;
        counters.recovered.add(self.claims.len() as u64);
        counters.corrupt_records.add(self.lost.len() as u64);
        let mut by_target: BTreeMap<_, (Vec<_>, Tally)> = BTreeMap::new();
        for (target, bytes) in self.lost {
            let (_, lost) = by_target.entry(target).or_default();
            lost.add(bytes);
        }
        for claim in self.claims {
            let (target, number) = (usize::from(claim.target), claim.record.number());
            match (shared.lethal(target, number), shared.queue(target)) {
                (Some(ended), Some(queue)) => queue.queue.recover_lethal(number, claim, ended),
                _ => {
                    let (claims, _) = by_target.entry(target).or_default();
                    claims.push((number, claim));
                }
            }
        }
        for (target, (claims, lost)) in by_target {
            if let Some(queue) = shared.queue(target) {
                queue.queue.recover(claims, lost);
            }
        }
    }
}

impl TrackerState {
    /// Claims the pending records of a segment, and settles all others of its numbers.
    ///
    /// If a target has not settled a number and no record with it is found, a record is lost, unless the number is
    /// unknown. An unknown number that may have been in damaged bytes counts as a lost record too.
    pub(crate) fn adopt(
        &mut self,
        found: Found<'_>,
        tracker: &Arc<SettlementTracker>,
        adopted: &mut Adopted,
    ) {
        let explained = self.explained(found);
        let mut claims: BTreeMap<u64, (&ScannedRecord, Vec<u16>)> = BTreeMap::new();
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            let gaps = cursor.settled.gaps(found.numbers.clone()).into_iter();
            let described = gaps.map(|gap| gap.start..gap.end.min(cursor.described_below));
            let missing: u64 = described.map(|gap| explained.count_missing(gap)).sum();
            let missing = usize::try_from(missing).unwrap_or(MOST_LOST).min(MOST_LOST);
            let share = TargetShare::take(cursor, found);
            let lost = share.lost.into_iter();
            let lost = lost.chain(std::iter::repeat_n(0, missing));
            adopted.lost.extend(lost.map(|bytes| (index, bytes)));
            for record in share.pending {
                let claims = claims.entry(record.number).or_insert((record, Vec::new()));
                claims.1.extend(u16::try_from(index));
            }
        }
        self.unknown.remove(found.numbers.clone());
        self.unsaved += 1;
        for (record, targets) in claims.into_values() {
            self.segments.claim(found.segment, targets.len() as u64);
            let record = spooled(record, found.segment, targets.len(), tracker);
            adopted
                .claims
                .extend(targets.into_iter().map(|target| RecordClaim {
                    record: Arc::clone(&record),
                    target,
                }));
        }
    }

    /// The numbers of the segment that are not lost: records with them were found, or the numbers are unknown and
    /// outside damaged bytes.
    fn explained(&self, found: Found<'_>) -> NumberSet {
        let mut explained = NumberSet::default();
        for range in self.unknown.ranges() {
            let start = range.start.max(found.numbers.start);
            explained.insert(start..range.end.min(found.numbers.end));
        }
        for gap in found.gaps {
            explained.remove(gap.clone());
        }
        for record in found.records {
            explained.insert(record.number..record.number + 1);
        }
        explained
    }
}

/// The records of a segment that one target has not settled.
struct TargetShare<'a> {
    pending: Vec<&'a ScannedRecord>,
    /// Body lengths of damaged records.
    lost: Vec<u64>,
}

impl<'a> TargetShare<'a> {
    /// Settles all numbers of the segment for the target, except those of its pending whole records.
    fn take(cursor: &mut Cursor, found: Found<'a>) -> Self {
        let (id, settled) = (cursor.id, &mut cursor.settled);
        let wanted = found.records.iter();
        let wanted = wanted.filter(|it| is_wanted(it, id, settled));
        let (pending, lost): (Vec<_>, Vec<_>) = wanted.partition(|record| record.whole);
        settled.insert(found.numbers.clone());
        for record in &pending {
            settled.remove(record.number..record.number + 1);
        }
        let lost = lost.into_iter().map(|record| record.bytes).collect();
        Self { pending, lost }
    }
}

fn is_wanted(record: &ScannedRecord, by: TargetId, settled: &NumberSet) -> bool {
    record.takers.contains(&by) && !settled.contains(record.number)
}

fn spooled(
    record: &ScannedRecord,
    segment: u64,
    claims: usize,
    tracker: &Arc<SettlementTracker>,
) -> Arc<SpooledRecord> {
    Arc::new(SpooledRecord {
        number: record.number.into(),
        surface: record.surface,
        received: record.received,
        bytes: record.bytes,
        tracker: Arc::clone(tracker),
        state: Mutex::new(SpooledState {
            claims: u32::try_from(claims).unwrap_or(u32::MAX),
            resolved: false,
            location: RecordLocation::Disk {
                position: record.position(segment),
                cached: Weak::new(),
            },
        }),
    })
}
