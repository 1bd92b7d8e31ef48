//! The cursors with which a process begins: those that earlier processes saved, of targets of this process and of removed
//! targets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use pyrotee_segments::{Names, SavedCursor, TargetId, is_clock_set, unix_seconds};

use super::RecoveredSpool;
use crate::tracker::{Cursor, Removal, id_of};

/// The cursors of all targets, and the names for new segments.
pub(super) struct BegunCursors {
    /// The targets of this process, in their order, then the removed ones.
    pub(super) cursors: Vec<Cursor>,
    /// Numbers of the records that were in flight when the cursors were saved, in the same order.
    pub(super) in_flight: Vec<Vec<u64>>,
    pub(super) names: Names,
}

/// Takes over the saved cursors, and adds cursors for new targets. `targets`: the names of the targets of this process,
/// whose cursors are those of targets in force. `next`: the number of the next record. `now`: the current time.
pub(super) fn begin(
    recovered: &RecoveredSpool,
    targets: &[String],
    next: u64,
    now: SystemTime,
) -> BegunCursors {
    let saved = Saved {
        recovered,
        listed: listed(recovered),
    };
    let mut names = recovered.names.clone();
    let mut begun = BegunCursors {
        cursors: Vec::new(),
        in_flight: Vec::new(),
        names: Names::new(),
    };
    for name in targets {
        let id = id_of(name, &mut names);
        begun.push(id, name, &saved, None);
    }
    let is_unread = recovered.segments.iter().any(|it| it.read.is_none());
    let known = targets.iter().collect::<BTreeSet<_>>();
    let removed = recovered.names.iter();
    for (id, name) in removed.filter(|(_, name)| !known.contains(name)) {
        if is_unread || saved.has_records(*id, name) {
            let removal = Removal {
                since: saved.removed_since(*id, name, unix_seconds(now)),
                horizon: next,
            };
            begun.push(*id, name, &saved, Some(removal));
        }
    }
    begun.names = names;
    begun
}

impl BegunCursors {
    fn push(&mut self, id: TargetId, name: &str, saved: &Saved<'_>, removal: Option<Removal>) {
        let cursor = saved.of_target(id, name).cloned();
        let described_below = saved.described_below(cursor.as_ref());
        let cursor = cursor.unwrap_or_default();
        self.in_flight.push(cursor.in_flight);
        self.cursors.push(Cursor {
            id,
            name: name.to_owned(),
            settled: cursor.settled,
            removal,
            described_below,
        });
    }
}

/// What earlier processes saved.
struct Saved<'a> {
    recovered: &'a RecoveredSpool,
    /// The targets that a record in a segment lists as takers, each with the highest number of such a record.
    listed: BTreeMap<TargetId, u64>,
}

impl Saved<'_> {
    fn of_target(&self, id: TargetId, name: &str) -> Option<&SavedCursor> {
        self.recovered.cursors.of_target(id, name)
    }

    /// Whether a record of a target that this process does not have is in a segment, or is missing: its number is
    /// neither settled nor in a segment.
    fn has_records(&self, id: TargetId, name: &str) -> bool {
        let is_unsettled = |it: &SavedCursor| it.settled.count_missing(0..it.horizon) > 0;
        self.listed.contains_key(&id) || self.of_target(id, name).is_some_and(is_unsettled)
    }

    /// Whether the target was removed when its cursor was saved.
    fn is_removed(&self, cursor: &SavedCursor) -> bool {
        Some(cursor.last_seen) != self.recovered.cursors.last_seen()
    }

    /// The number from which on no missing record counts as lost for a target with this saved cursor: the cursor does not
    /// tell whether such records were for the target.
    fn described_below(&self, cursor: Option<&SavedCursor>) -> u64 {
        match cursor {
            // The target joined after the cursors were saved.
            None if self.recovered.cursors.generation > 0 => 0,
            Some(cursor) if self.is_removed(cursor) => cursor.horizon,
            None | Some(_) => u64::MAX,
        }
    }

    /// Since when a target that this process does not have is removed: since the start of this process, unless its saved
    /// cursor says that it was removed before, and no later record shows that it came back.
    fn removed_since(&self, id: TargetId, name: &str, now: u64) -> u64 {
        let last_listed = self.listed.get(&id).copied();
        let saved = self.of_target(id, name);
        let removed = saved.filter(|it| {
            let is_back = last_listed.is_some_and(|number| number >= it.horizon);
            self.is_removed(it) && is_clock_set(it.last_seen) && !is_back
        });
        // Earlier than the `last_seen` that is saved for targets in force.
        removed.map_or(now.saturating_sub(1), |it| it.last_seen)
    }
}

/// The targets that a record in a segment lists as takers, each with the highest number of such a record.
fn listed(recovered: &RecoveredSpool) -> BTreeMap<TargetId, u64> {
    let mut listed = BTreeMap::new();
    let read = recovered.segments.iter();
    for record in read.flat_map(|it| it.read.iter().flat_map(|read| &read.scan.records)) {
        for taker in &record.takers {
            let last = listed.entry(*taker).or_insert(record.number);
            *last = record.number.max(*last);
        }
    }
    listed
}
