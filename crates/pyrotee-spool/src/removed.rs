//! Targets that were removed from the configuration: ordinary queues, which a deliverer may still drain.

use std::time::{Duration, SystemTime};

use pyrotee_queue::{Counts, Reason, Tally, lock};
use tracing::warn;

use crate::shared::Shared;
use crate::tracker::{Cursor, TrackerState};

/// The state of a removed target at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedTarget {
    /// The name of the target.
    pub name: String,
    /// When a reload removed the target, or when the first process without the target started.
    pub since: SystemTime,
    /// The account of the target. Records that a replay handed to another target count as sent.
    pub counts: Counts,
    /// When the oldest pending record was received. `None`: no record is pending, or none was read yet.
    pub oldest: Option<SystemTime>,
    /// Records in segments that cannot be read. These records are not in the account, because their lengths are not
    /// known.
    pub unread: u64,
    /// Records that are being delivered while the target is drained, or that a replay is handing over.
    pub in_flight: u64,
}

impl RemovedTarget {
    /// Whether records are pending.
    pub fn has_records(&self) -> bool {
        self.counts.pending.profiles + self.unread > 0
    }
}

impl Shared {
    /// The targets that a reload has removed, and those that had records when this process started, with the index of
    /// each.
    pub(crate) fn removed_targets(&self) -> Vec<(usize, RemovedTarget)> {
        let removed = |(index, cursor): (usize, &Cursor), unread| {
            let since = Duration::from_secs(cursor.removal?.since);
            Some((
                index,
                cursor.name.clone(),
                SystemTime::UNIX_EPOCH + since,
                unread,
            ))
        };
        let found: Vec<_> = self.tracker.with(|tracker| {
            let cursors = tracker.cursors.iter().enumerate();
            let removed = cursors.map(|it| removed(it, tracker.unread_records(it.0)));
            removed.flatten().collect()
        });
        let targets = found
            .into_iter()
            .filter_map(|(index, name, since, unread)| {
                let queue = self.queue(index)?;
                let target = RemovedTarget {
                    name,
                    since,
                    counts: queue.queue.ledger().snapshot(),
                    oldest: queue.queue.oldest(),
                    unread,
                    in_flight: queue.queue.in_flight().len() as u64,
                };
                Some((index, target))
            });
        targets.collect()
    }

    /// Drops the pending records of the removed targets that `is_lost` selects, for `reason`. Returns the name of each
    /// target that lost records, and how many.
    pub(crate) fn lose_removed(
        &self,
        is_lost: impl Fn(&RemovedTarget) -> bool,
        reason: Reason,
    ) -> Vec<(String, Tally)> {
        let removed = self.removed_targets().into_iter();
        let losers = removed.filter(|(_, target)| target.has_records() && is_lost(target));
        // A leased record is dropped when it is released. A target that returns gets records from `next` on, which must
        // not be dropped then.
        let next = lock(&self.intake).next;
        let lost = losers.filter_map(|(index, target)| {
            let queue = self.queue(index)?;
            let mut lost = queue.queue.lose_numbers(0..next, reason);
            let all = |tracker: &mut _| TrackerState::lose_all_unread(tracker, index);
            lost.profiles += self.lose_unread_of(index, reason, all);
            if lost.profiles == 0 {
                return None;
            }
            let (target, records, reason) = (target.name, lost.profiles, reason.as_str());
            warn!(
                target,
                records, reason, "records of a removed target are dropped"
            );
            Some((target, lost))
        });
        lost.collect()
    }
}
