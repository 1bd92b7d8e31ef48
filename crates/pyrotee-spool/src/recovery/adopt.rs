//! Collects the records that recovery found for each target, and counts the missing ones as lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use tracing::warn;

use super::backlog::{Adoption, Backlog};
use super::numbers::{next_number, unknown_in};
use super::{RecoveredSpool, ScannedRecord};
use crate::counters::Counters;
use crate::format::{Names, NumberSet, SavedCursor, TargetId};
use crate::removed_target::{PendingCount, RemovedTarget};
use crate::segments::{Segment, UnreadSegment};
use crate::spooled_record::{RecordClaim, RecordLocation, SpooledRecord, SpooledState};
use crate::tracker::{Cursor, SettlementTracker, TrackerState};
use crate::writer::seconds;

/// Most records that are counted as lost to one damage: numbers in a damaged file can be anything.
const MOST_LOST: usize = 1 << 20;

/// One target, and the records that recovery found for it.
struct RecoveredTarget {
    id: TargetId,
    saved: SavedCursor,
    /// `None`: the target was removed from the configuration.
    queue: Option<Backlog>,
    /// Numbers of pending records.
    pending: BTreeSet<u64>,
    by_segment: BTreeMap<u64, PendingCount>,
    /// Whether a record in a segment lists the target as a taker.
    is_listed: bool,
    /// Whether the target has no cursor.
    is_new: bool,
}

/// The records that cannot be delivered.
struct Losses<'a> {
    /// Number, takers and body length of damaged records.
    damaged: Vec<(u64, Vec<TargetId>, u64)>,
    /// Numbers of records that may have been in damaged bytes.
    gaps: Vec<Range<u64>>,
    /// Numbers in segments that cannot be read, of which nothing is known.
    unread: Vec<Range<u64>>,
    /// Numbers of which it was not known before whether there is a record.
    unknown: NumberSet,
    /// Whether there are cursors, so that a target without one is new.
    has_cursors: bool,
    counters: &'a Counters,
}

impl RecoveredTarget {
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
        let Some(queue) = &mut self.queue else {
            losses.counters.lost_of_removed.add(1);
            return;
        };
        queue.lost.add(bytes);
        losses.counters.corrupt_records.add(1);
    }
}

/// Collects the recovered records for the targets of the names `configured`. They will be settled with `tracker`, whose
/// state does not change yet.
pub(crate) fn adopt(
    recovered: RecoveredSpool,
    configured: &[String],
    tracker: &Arc<SettlementTracker>,
) -> Adoption {
    let mut names = recovered.names.clone();
    let mut targets = targets(&recovered, configured, &mut names);
    let (own_counters, mut state) = (Counters::default(), TrackerState::default());
    let counters = &own_counters;
    let next = next_number(&recovered);
    let mut losses = Losses {
        damaged: Vec::new(),
        gaps: Vec::new(),
        unread: Vec::new(),
        unknown: recovered.cursors.unknown.clone(),
        has_cursors: recovered.cursors.generation > 0,
        counters,
    };
    let mut unknown = NumberSet::default();
    let mut adopted = BTreeSet::new();
    counters.quarantined.set(recovered.quarantined.profiles);
    counters.quarantined_bytes.set(recovered.quarantined.bytes);
    for segment in recovered.segments {
        let first = segment.first();
        let mut tracked = Segment {
            bytes: segment.len,
            closed: true,
            ..Segment::default()
        };
        let Some(read) = segment.read else {
            let numbers = first..segment.numbers.end.min(next);
            losses.unread.push(numbers.clone());
            for gap in unknown_in(&numbers, &recovered.cursors) {
                unknown.insert(gap);
            }
            tracked.unread = Some(UnreadSegment {
                numbers,
                modified: segment.modified,
                may_be_torn: segment.numbers.end == u64::MAX && !recovered.cursors.clean,
            });
            state.segments.insert(first, tracked);
            continue;
        };
        counters.corrupt_stretches.add(read.scan.damaged_ranges);
        if read.scan.damaged_ranges > 0 {
            warn!(segment = first, "segment of the spool is damaged");
        }
        tracked.bytes = read.bytes;
        tracked.damaged = read.damaged;
        tracked.file = Some(read.file);
        state.segments.insert(first, tracked);
        losses.gaps.extend(read.scan.gaps);
        for record in read.scan.records {
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
            let claims = adopt_record(&record, first, &mut targets, tracker, counters);
            state.segments.claim(first, claims);
        }
    }
    if recovered.cursors.clean {
        // No record was written after the cursors were saved.
        losses.gaps.clear();
    }
    for target in &mut targets {
        count_losses(target, &losses, &adopted);
    }
    state.unknown = unknown;
    let backlogs = fill_tracker(targets, next, &losses.unread, &mut state);
    Adoption {
        next,
        names,
        state,
        backlogs,
        counters: own_counters,
    }
}

/// Adds one record to the backlogs of the targets that it is pending for. Returns how many these are.
fn adopt_record(
    record: &ScannedRecord,
    segment: u64,
    targets: &mut [RecoveredTarget],
    tracker: &Arc<SettlementTracker>,
    counters: &Counters,
) -> u64 {
    let number = record.number;
    let wanting = targets.iter_mut().enumerate();
    let wanting: Vec<_> = wanting
        .filter(|(_, target)| target.wants(number, &record.takers))
        .collect();
    let claims = wanting.len() as u64;
    let spooled = Arc::new(SpooledRecord {
        number: number.into(),
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
        if let (Some(queue), Ok(index)) = (&mut target.queue, u16::try_from(index)) {
            counters.recovered.add(1);
            let again = target.saved.in_flight.contains(&number);
            counters.redelivered.add(u64::from(again));
            let claim = RecordClaim {
                record: Arc::clone(&spooled),
                target: index,
            };
            queue.claims.push((number, claim));
        }
    }
    claims
}

/// The configured targets, in their order, then the removed ones. New targets are added to `names`.
fn targets(
    recovered: &RecoveredSpool,
    configured: &[String],
    names: &mut Names,
) -> Vec<RecoveredTarget> {
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
    let last_seen = recovered.cursors.last_seen();
    let target = |id, name: &String, queue: Option<_>| {
        let mut saved = recovered.cursors.of_target(id, name).cloned();
        let is_new = saved.is_none();
        if let Some(saved) = saved
            .as_mut()
            .filter(|saved| Some(saved.last_seen) == last_seen)
            && queue.is_none()
        {
            // The first start without the target. Less than any configured target will say.
            saved.last_seen = now.saturating_sub(1);
        }
        let new = || SavedCursor {
            id,
            name: name.clone(),
            last_seen: now,
            ..SavedCursor::default()
        };
        RecoveredTarget {
            id,
            saved: saved.unwrap_or_else(new),
            queue,
            pending: BTreeSet::new(),
            by_segment: BTreeMap::new(),
            is_listed: false,
            is_new,
        }
    };
    let mut targets = Vec::new();
    for name in configured {
        let id = id_of(name, names);
        targets.push(target(id, name, Some(Backlog::default())));
    }
    let removed = known.iter().filter(|(_, name)| !configured.contains(name));
    targets.extend(removed.map(|(id, name)| target(*id, name, None)));
    targets
}

/// Counts the records that can never be delivered to a target as lost.
fn count_losses(target: &mut RecoveredTarget, losses: &Losses<'_>, adopted: &BTreeSet<u64>) {
    for (number, takers, bytes) in &losses.damaged {
        if target.wants(*number, takers) && !adopted.contains(number) {
            target.lose(*number, *bytes, losses);
        }
    }
    // Records below the horizon that are neither settled nor in a segment are missing.
    let missing = target
        .saved
        .settled
        .gaps(0..target.saved.horizon)
        .into_iter()
        .flatten();
    // A target has settled the records that a segment holds and that do not list it.
    let is_explained = |number: &u64| {
        adopted.contains(number)
            || losses.unknown.contains(*number)
            || losses.unread.iter().any(|range| range.contains(number))
    };
    let missing = missing.filter(|number| !is_explained(number));
    for number in missing.take(MOST_LOST).collect::<Vec<_>>() {
        target.lose(number, 0, losses);
    }
    if losses.has_cursors && target.is_new {
        return;
    }
    // Records above the horizon may have been in damaged bytes.
    let later = losses.gaps.iter().cloned().flatten().take(MOST_LOST);
    for number in later {
        let may_be_lost = number >= target.saved.horizon || losses.unknown.contains(number);
        if may_be_lost && target.may_want(number) && !adopted.contains(&number) {
            target.lose(number, 0, losses);
        }
    }
}

/// Fills in the cursors of all targets. Returns the backlogs of the configured ones. A removed target that no record lists is forgotten, unless a record
/// in a segment that cannot be read may list it.
fn fill_tracker(
    targets: Vec<RecoveredTarget>,
    next: u64,
    unread: &[Range<u64>],
    tracker: &mut TrackerState,
) -> Vec<Backlog> {
    let mut backlogs = Vec::new();
    tracker.unsaved = 1;
    for target in targets {
        let mut settled = NumberSet::all_but(target.pending, next);
        // What a new target finds is not for it.
        for numbers in unread.iter().filter(|_| !target.is_new) {
            for pending in target.saved.settled.gaps(numbers.clone()) {
                settled.remove(pending);
            }
        }
        if let Some(backlog) = target.queue {
            backlogs.push(backlog);
            tracker.cursors.push(Cursor {
                id: target.id,
                name: target.saved.name,
                settled,
            });
        } else if target.is_listed || !unread.is_empty() {
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
    backlogs
}
