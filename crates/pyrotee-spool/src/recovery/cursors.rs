//! The cursors with which a process begins: those that earlier processes saved, of configured and of removed targets.

use std::collections::BTreeSet;
use std::time::SystemTime;

use pyrotee_segments::{Names, SavedCursor, TargetId, is_clock_set, unix_seconds};

use super::RecoveredSpool;
use crate::tracker::{Cursor, Removal};

/// The cursors of all targets, and the names for new segments.
pub(super) struct BegunCursors {
    /// The configured targets, in their order, then the removed ones.
    pub(super) cursors: Vec<Cursor>,
    /// Numbers of the records that were in flight when the cursors were saved, in the same order.
    pub(super) in_flight: Vec<Vec<u64>>,
    pub(super) names: Names,
}

/// Takes over the saved cursors, and adds cursors for new targets. `next`: the number of the next record. `now`: the
/// current time.
pub(super) fn begin(
    recovered: &RecoveredSpool,
    configured: &[String],
    next: u64,
    now: SystemTime,
) -> BegunCursors {
    let mut names = recovered.names.clone();
    let mut begun = BegunCursors {
        cursors: Vec::new(),
        in_flight: Vec::new(),
        names: Names::new(),
    };
    let has_cursors = recovered.cursors.generation > 0;
    for name in configured {
        let id = id_of(name, &mut names);
        let saved = recovered.cursors.of_target(id, name).cloned();
        begun.push(id, name, saved, has_cursors, None);
    }
    let listed = listed(recovered);
    let is_unread = recovered.segments.iter().any(|it| it.read.is_none());
    let removed = recovered.names.iter();
    for (id, name) in removed.filter(|(_, name)| !configured.contains(name)) {
        let saved = recovered.cursors.of_target(*id, name).cloned();
        // A record is missing if its number is neither settled nor in a segment.
        let is_unsettled = |it: &SavedCursor| it.settled.count_missing(0..it.horizon) > 0;
        let has_records = listed.contains(id) || saved.as_ref().is_some_and(is_unsettled);
        if has_records || is_unread {
            let last_seen = recovered.cursors.last_seen();
            let removal = removal(saved.as_ref(), last_seen, next, unix_seconds(now));
            begun.push(*id, name, saved, has_cursors, Some((removal, next)));
        }
    }
    begun.names = names;
    begun
}

impl BegunCursors {
    fn push(
        &mut self,
        id: TargetId,
        name: &str,
        saved: Option<SavedCursor>,
        has_cursors: bool,
        removal: Option<(Removal, u64)>,
    ) {
        let is_new = saved.is_none() && has_cursors;
        let saved = saved.unwrap_or_default();
        let mut settled = saved.settled;
        if let Some((removal, next)) = removal {
            settled.insert(removal.horizon..next);
        }
        self.in_flight.push(saved.in_flight);
        self.cursors.push(Cursor {
            id,
            name: name.to_owned(),
            settled,
            removal: removal.map(|(removal, _)| removal),
            is_new,
        });
    }
}

/// The number of a target, which is added to `names` if it has none.
fn id_of(name: &str, names: &mut Names) -> TargetId {
    let known = names.iter().find(|(_, known)| *known == name);
    let free = || (0..TargetId::MAX).find(|id| !names.contains_key(id));
    let id = known.map(|(id, _)| *id).or_else(free);
    let id = id.unwrap_or(TargetId::MAX);
    names.insert(id, name.to_owned());
    id
}

/// The targets that a record in a segment lists as takers.
fn listed(recovered: &RecoveredSpool) -> BTreeSet<TargetId> {
    let read = recovered.segments.iter();
    let records = read.flat_map(|it| it.read.iter().flat_map(|read| &read.scan.records));
    let takers = records.flat_map(|record| &record.takers);
    takers.copied().collect()
}

/// Since when a target is removed: since the start of this process, unless its saved cursor says that it was removed
/// before. `last_seen`: when the cursors were saved. `next`: the number of the next record.
fn removal(saved: Option<&SavedCursor>, last_seen: Option<u64>, next: u64, now: u64) -> Removal {
    // Earlier than the `last_seen` that is saved for configured targets.
    let since = now.saturating_sub(1);
    match saved.filter(|saved| Some(saved.last_seen) != last_seen) {
        None => Removal {
            since,
            horizon: next,
        },
        Some(saved) => Removal {
            since: match is_clock_set(saved.last_seen) {
                true => saved.last_seen,
                false => since,
            },
            horizon: saved.horizon,
        },
    }
}
