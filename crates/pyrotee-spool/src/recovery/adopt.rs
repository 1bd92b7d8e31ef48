//! Queues the records that recovery found, and counts the missing ones as lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use pyrotee_queue::{Queue, Reason};
use tracing::warn;

use super::{RecoveredSpool, ScannedRecord};
use crate::counters::Counters;
use crate::format::{Names, SavedCursor, TargetId};
use crate::number_set::NumberSet;
use crate::removed_target::{PendingCount, RemovedTarget};
use crate::segments::Segment;
use crate::spooled_record::{RecordClaim, RecordLocation, SpooledRecord, SpooledState};
use crate::tracker::{Cursor, SettlementTracker};
use crate::writer::seconds;

/// Most records that are counted as lost to one damage: numbers in a damaged file can be anything.
const MOST_LOST: usize = 1 << 20;

/// One target, and the records that recovery found for it.
struct RecoveredTarget<'a> {
    id: TargetId,
    saved: SavedCursor,
    /// `None`: the target was removed from the configuration.
    queue: Option<&'a Queue<RecordClaim>>,
    /// Numbers of pending records.
    pending: BTreeSet<u64>,
    by_segment: BTreeMap<u64, PendingCount>,
    /// Whether a record in a segment lists the target as a taker.
    is_listed: bool,
}

/// The records that cannot be delivered.
struct Losses<'a> {
    /// Number, takers and body length of damaged records.
    damaged: Vec<(u64, Vec<TargetId>, u64)>,
    /// Numbers of records that may have been in damaged bytes.
    gaps: Vec<Range<u64>>,
    /// Numbers of records in segments that cannot be read.
    unread: Vec<Range<u64>>,
    counters: &'a Counters,
}

impl RecoveredTarget<'_> {
    /// Whether the target is a taker of the record and, according to its cursor, has not settled it.
    fn wants(&self, number: u64, takers: &[TargetId]) -> bool {
        takers.contains(&self.id) && self.may_want(number)
    }

    /// Whether the target, according to its cursor, has not settled the record.
    fn may_want(&self, number: u64) -> bool {
        !self.saved.settled.contains(number)
    }

    /// Settles a record and counts it as lost. The ledger of this process has never counted it as pending.
    fn lose(&mut self, number: u64, bytes: u64, losses: &Losses<'_>) {
        self.saved.settled.insert(number..number + 1);
        let Some(queue) = self.queue else { return };
        if losses.unread.iter().any(|range| range.contains(&number)) {
            queue.ledger().refuse(bytes, Reason::DiskError);
        } else {
            queue.ledger().refuse(bytes, Reason::Corrupt);
            losses.counters.corrupt_records.add(1);
        }
    }
}

/// Fills the tracker and the queues with the recovered records. `queues` are in the order of `configured`.
/// Returns the number of the next record and the names for new segments.
pub(crate) fn adopt(
    recovered: RecoveredSpool,
    configured: &[String],
    queues: &[Arc<Queue<RecordClaim>>],
    tracker: &Arc<SettlementTracker>,
    counters: &Counters,
) -> (u64, Names) {
    let mut names = recovered.names.clone();
    let mut targets = targets(&recovered, configured, queues, &mut names);
    let seen = recovered.segments.iter().flat_map(|segment| {
        let last = segment.scan.records.last().map(|record| record.number);
        [segment.first, last.unwrap_or(0)]
    });
    let next = seen.map(|number| number + 1).max().unwrap_or(0);
    let next = next.max(recovered.cursors.next);
    let mut losses = Losses {
        damaged: Vec::new(),
        gaps: Vec::new(),
        unread: Vec::new(),
        counters,
    };
    let mut adopted = BTreeSet::new();
    counters.quarantined.set(recovered.quarantined.profiles);
    counters.quarantined_bytes.set(recovered.quarantined.bytes);
    for segment in recovered.segments {
        counters.corrupt_stretches.add(segment.scan.damaged_ranges);
        if segment.scan.damaged_ranges > 0 {
            warn!(segment = segment.first, "segment of the spool is damaged");
        }
        let tracked = Segment {
            file: segment.file.clone(),
            bytes: segment.bytes,
            pending: 0,
            closed: true,
            damaged: segment.damaged,
        };
        tracker.with(|tracker| tracker.segments.insert(segment.first, tracked));
        losses.gaps.extend(segment.scan.gaps);
        losses.unread.extend(segment.unread);
        if segment.file.is_none() {
            continue;
        }
        for record in segment.scan.records {
            for target in &mut targets {
                target.is_listed |= record.takers.contains(&target.id);
            }
            if !record.whole {
                let ScannedRecord { number, takers, .. } = record;
                losses.damaged.push((number, takers, record.bytes));
                continue;
            }
            // The numbers of segments do not overlap, so no record is adopted twice.
            adopted.insert(record.number);
            adopt_record(&record, segment.first, &mut targets, tracker, counters);
        }
    }
    if recovered.cursors.clean {
        // No record was written after the cursors were saved.
        losses.gaps.clear();
    }
    for target in &mut targets {
        count_losses(target, &losses, &adopted);
    }
    fill_tracker(targets, configured.len(), next, tracker);
    (next, names)
}

/// Queues one record for the targets that it is pending for.
fn adopt_record(
    record: &ScannedRecord,
    segment: u64,
    targets: &mut [RecoveredTarget<'_>],
    tracker: &Arc<SettlementTracker>,
    counters: &Counters,
) {
    let number = record.number;
    let wanting = targets.iter_mut().enumerate();
    let wanting: Vec<_> = wanting
        .filter(|(_, target)| target.wants(number, &record.takers))
        .collect();
    let spooled = Arc::new(SpooledRecord {
        number,
        surface: record.surface,
        received: record.received,
        bytes: record.bytes,
        tracker: Arc::clone(tracker),
        state: Mutex::new(SpooledState {
            claims: u32::try_from(wanting.len()).unwrap_or(u32::MAX),
            resolved: false,
            location: RecordLocation::Disk {
                position: record.position(segment),
                cached: Weak::new(),
            },
        }),
    });
    for (index, target) in wanting {
        target.pending.insert(number);
        let pending = target.by_segment.entry(segment).or_default();
        pending.add(record.bytes, record.received);
        tracker.with(|tracker| tracker.segments.claim(segment, 1));
        if let (Some(queue), Ok(index)) = (target.queue, u16::try_from(index)) {
            counters.recovered.add(1);
            let again = target.saved.in_flight.contains(&number);
            counters.redelivered.add(u64::from(again));
            let claim = RecordClaim {
                record: Arc::clone(&spooled),
                target: index,
            };
            queue.recover(number, claim);
        }
    }
}

/// The configured targets, in their order, then the removed ones. New targets are added to `names`.
fn targets<'a>(
    recovered: &RecoveredSpool,
    configured: &[String],
    queues: &'a [Arc<Queue<RecordClaim>>],
    names: &mut Names,
) -> Vec<RecoveredTarget<'a>> {
    let known = names.clone();
    let id_of = |name: &String, names: &mut Names| {
        let known = names.iter().find(|(_, known)| *known == name);
        let free = || (0..TargetId::MAX).find(|id| !names.contains_key(id));
        let id = known
            .map(|(id, _)| *id)
            .or_else(free)
            .unwrap_or(TargetId::MAX);
        names.insert(id, name.clone());
        id
    };
    let now = seconds(SystemTime::now());
    let target = |id, name: &String, queue| RecoveredTarget {
        id,
        saved: recovered
            .cursors
            .of_target(id, name)
            .cloned()
            .unwrap_or_else(|| SavedCursor {
                id,
                name: name.clone(),
                last_seen: now,
                ..SavedCursor::default()
            }),
        queue,
        pending: BTreeSet::new(),
        by_segment: BTreeMap::new(),
        is_listed: false,
    };
    let mut targets = Vec::new();
    for (name, queue) in configured.iter().zip(queues) {
        let id = id_of(name, names);
        targets.push(target(id, name, Some(&**queue)));
    }
    let removed = known.iter().filter(|(_, name)| !configured.contains(name));
    targets.extend(removed.map(|(id, name)| target(*id, name, None)));
    targets
}

/// Counts the records that can never be delivered to a target as lost.
fn count_losses(target: &mut RecoveredTarget<'_>, losses: &Losses<'_>, adopted: &BTreeSet<u64>) {
    for (number, takers, bytes) in &losses.damaged {
        if target.wants(*number, takers) && !adopted.contains(number) {
            target.lose(*number, *bytes, losses);
        }
    }
    // Records below the horizon that are neither settled nor in a segment are missing.
    let missing = target
        .saved
        .settled
        .gaps(target.saved.horizon)
        .into_iter()
        .flatten();
    let missing = missing.filter(|number| !target.pending.contains(number));
    for number in missing.take(MOST_LOST).collect::<Vec<_>>() {
        target.lose(number, 0, losses);
    }
    // Records above the horizon may have been in damaged bytes.
    let later = losses.gaps.iter().cloned().flatten().take(MOST_LOST);
    for number in later {
        if number >= target.saved.horizon && target.may_want(number) && !adopted.contains(&number) {
            target.lose(number, 0, losses);
        }
    }
}

/// Gives the tracker the cursors of all targets. A removed target that no record lists is forgotten.
fn fill_tracker(
    targets: Vec<RecoveredTarget<'_>>,
    configured: usize,
    next: u64,
    tracker: &SettlementTracker,
) {
    tracker.with(|tracker| {
        tracker.unsaved = 1;
        for (index, target) in targets.into_iter().enumerate() {
            if index < configured {
                tracker.cursors.push(Cursor {
                    id: target.id,
                    name: target.saved.name,
                    settled: NumberSet::all_but(target.pending, next),
                });
            } else if target.is_listed {
                let settled = NumberSet::all_but(target.pending, next);
                tracker.removed.push(RemovedTarget {
                    saved: SavedCursor {
                        horizon: next,
                        settled,
                        in_flight: Vec::new(),
                        ..target.saved
                    },
                    pending: target.by_segment,
                });
            }
        }
    });
}
