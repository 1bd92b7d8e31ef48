//! Adopts the records of a segment that could not be read at the start, once it can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};

use tracing::info;

use super::backlog::Backlog;
use super::{ReadSegment, ScannedRecord};
use crate::format::{NumberSet, TargetId};
use crate::shared::Shared;
use crate::spooled_record::{RecordClaim, RecordLocation, SpooledRecord, SpooledState};
use crate::tracker::{SettlementTracker, TrackerState};

/// What the tracker decided about the records of a segment.
#[derive(Default)]
struct Adopted {
    /// Claims of configured targets on pending records.
    claims: Vec<RecordClaim>,
    /// Body lengths of damaged and missing records, zero if not known, with the index of the target.
    lost: Vec<(usize, u64)>,
    /// Records that removed targets lose.
    lost_of_removed: u64,
}

/// What one target has in a segment.
#[derive(Default)]
struct TargetShare<'a> {
    pending: Vec<&'a ScannedRecord>,
    /// Body lengths of damaged and missing records, zero if not known.
    lost: Vec<u64>,
}

/// Queues the records of the segment, and counts those that are damaged or missing as lost.
pub(crate) fn adopt_late(numbers: Range<u64>, read: &ReadSegment, shared: &Shared) {
    let tracker = &shared.tracker;
    let segment = numbers.start;
    let adopted = tracker.with(|state| state.adopt(&numbers, read, tracker));
    let counters = &shared.counters;
    counters.corrupt_stretches.add(read.scan.damaged_ranges);
    counters.recovered.add(adopted.claims.len() as u64);
    counters.corrupt_records.add(adopted.lost.len() as u64);
    counters.lost_of_removed.add(adopted.lost_of_removed);
    info!(
        segment,
        records = adopted.claims.len(),
        lost = adopted.lost.len(),
        "segment of the spool can be read again"
    );
    let mut backlogs: Vec<_> = shared.queues.iter().map(|_| Backlog::default()).collect();
    for (target, bytes) in adopted.lost {
        if let Some(backlog) = backlogs.get_mut(target) {
            backlog.lost.add(bytes);
        }
    }
    for claim in adopted.claims {
        if let Some(backlog) = backlogs.get_mut(usize::from(claim.target)) {
            backlog.claims.push((claim.record.number(), claim));
        }
    }
    for (queue, backlog) in shared.queues.iter().zip(backlogs) {
        queue.recover(backlog.claims, backlog.lost);
    }
}

impl TrackerState {
    /// Claims the pending records of a segment, and settles all others of its numbers.
    fn adopt(
        &mut self,
        numbers: &Range<u64>,
        read: &ReadSegment,
        tracker: &Arc<SettlementTracker>,
    ) -> Adopted {
        let segment = numbers.start;
        let mut adopted = Adopted::default();
        let tracked = self.segments.get(segment);
        // The records may have been lost meanwhile; then the segment does not count as unread any more.
        if tracked.is_none_or(|tracked| tracked.unread.is_none()) {
            return adopted;
        }
        let file = Arc::clone(&read.file);
        self.segments
            .note_read(segment, file, read.bytes, read.damaged);
        let records = &read.scan.records;
        let found: BTreeSet<_> = records.iter().map(|record| record.number).collect();
        let share = |id, settled: &mut NumberSet| {
            let missing = settled.gaps(numbers.clone()).into_iter().flatten();
            let missing = missing.filter(|number| {
                let in_gap = || read.scan.gaps.iter().any(|gap| gap.contains(number));
                !found.contains(number) && (!self.unknown.contains(*number) || in_gap())
            });
            let missing = missing.count();
            TargetShare::of(id, settled, records, numbers).with_missing(missing)
        };
        // `None`: a removed target.
        let mut claims: BTreeMap<u64, (&ScannedRecord, Vec<Option<u16>>)> = BTreeMap::new();
        let mut claim = |pending: Vec<_>, target| {
            for record in pending {
                let record: &ScannedRecord = record;
                let claims = claims.entry(record.number).or_insert((record, Vec::new()));
                claims.1.push(target);
            }
        };
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            let TargetShare { pending, lost } = share(cursor.id, &mut cursor.settled);
            claim(pending, u16::try_from(index).ok());
            adopted
                .lost
                .extend(lost.into_iter().map(|bytes| (index, bytes)));
        }
        for removed in &mut self.removed {
            let TargetShare { pending, lost } = share(removed.saved.id, &mut removed.saved.settled);
            adopted.lost_of_removed += lost.len() as u64;
            for record in &pending {
                let count = removed.pending.entry(segment).or_default();
                count.add(record.bytes, record.received);
            }
            claim(pending, None);
        }
        self.unknown.remove(numbers.clone());
        self.unsaved += 1;
        for (record, targets) in claims.into_values() {
            self.segments.claim(segment, targets.len() as u64);
            let record = spooled(record, segment, targets.len(), tracker);
            let configured = targets.into_iter().flatten();
            adopted.claims.extend(configured.map(|target| RecordClaim {
                record: Arc::clone(&record),
                target,
            }));
        }
        adopted
    }
}

impl<'a> TargetShare<'a> {
    /// Settles all of `numbers` but those of whole records that are pending for the target.
    fn of(
        id: TargetId,
        settled: &mut NumberSet,
        records: &'a [ScannedRecord],
        numbers: &Range<u64>,
    ) -> Self {
        let wanted = records.iter();
        let wanted = wanted.filter(|it| it.takers.contains(&id) && !settled.contains(it.number));
        let (pending, lost): (Vec<_>, Vec<_>) = wanted.partition(|record| record.whole);
        settled.insert(numbers.clone());
        for record in &pending {
            settled.remove(record.number..record.number + 1);
        }
        let lost = lost.into_iter().map(|record| record.bytes).collect();
        Self { pending, lost }
    }

    /// Adds records of unknown length that are missing.
    fn with_missing(mut self, missing: usize) -> Self {
        self.lost.extend(std::iter::repeat_n(0, missing));
        self
    }
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
