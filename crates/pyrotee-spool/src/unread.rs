//! Segments that could not be read at the start: what is known of their records, and how these are lost.
//!
//! The cursors tell which numbers of such a segment a target has not settled. Bodies, and so lengths, are not known.

use std::ops::Range;
use std::time::SystemTime;

use crate::format::NumberSet;
use crate::removed_target::RemovedTarget;
use crate::tracker::TrackerState;

/// The targets that lose the records of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Losers {
    /// All targets, the removed ones too.
    All,
    /// The configured target with this index.
    Target(usize),
}

/// How many records were lost.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnreadLosses {
    /// By configured target, in their order.
    pub(crate) configured: Vec<u64>,
    /// Of all removed targets.
    pub(crate) removed: u64,
}

impl UnreadLosses {
    pub(crate) fn total(&self) -> u64 {
        self.configured.iter().sum::<u64>() + self.removed
    }
}

impl TrackerState {
    /// How many records of segments that could not be read are pending for a target that has settled `settled`.
    pub(crate) fn unread_records(&self, settled: &NumberSet) -> u64 {
        let unread = self.segments.unread();
        let count = |(_, unread): (_, &crate::segments::UnreadSegment)| {
            missing(settled, &unread.numbers, &self.unknown)
        };
        unread.map(count).sum()
    }

    /// Settles the records of a segment that could not be read. A segment in which nothing is pending any more can be
    /// removed.
    pub(crate) fn lose_unread(&mut self, segment: u64, losers: Losers) -> UnreadLosses {
        let mut losses = UnreadLosses::default();
        let tracked = self.segments.get(segment);
        let Some(unread) = tracked.and_then(|segment| segment.unread.as_ref()) else {
            return losses;
        };
        let numbers = unread.numbers.clone();
        let lose = |settled: &mut NumberSet| {
            let lost = missing(settled, &numbers, &self.unknown);
            settled.insert(numbers.clone());
            lost
        };
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            let loses = losers == Losers::All || losers == Losers::Target(index);
            let lost = if loses { lose(&mut cursor.settled) } else { 0 };
            losses.configured.push(lost);
        }
        if losers == Losers::All {
            let removed = self.removed.iter_mut();
            losses.removed = removed.map(|it| lose(&mut it.saved.settled)).sum();
        }
        self.unsaved += 1;
        self.resolve_unread();
        losses
    }

    /// Settles the records of segments that could not be read and were last written to before `received_before`,
    /// for one configured target. Returns how many records the target loses.
    pub(crate) fn expire_unread(&mut self, target: usize, received_before: SystemTime) -> u64 {
        let is_old = |modified: Option<SystemTime>| modified.is_some_and(|it| it < received_before);
        let old = self.segments.unread().filter(|(_, it)| is_old(it.modified));
        let old: Vec<_> = old.map(|(first, _)| first).collect();
        self.lose_each_unread(old, target)
    }

    /// Settles the records of all segments that could not be read, for one configured target. Returns how many records
    /// the target loses.
    pub(crate) fn lose_all_unread(&mut self, target: usize) -> u64 {
        let all: Vec<_> = self.segments.unread().map(|(first, _)| first).collect();
        self.lose_each_unread(all, target)
    }

    fn lose_each_unread(&mut self, segments: Vec<u64>, target: usize) -> u64 {
        let losses = segments.into_iter().map(|segment| {
            let losses = self.lose_unread(segment, Losers::Target(target));
            losses.configured.into_iter().sum::<u64>()
        });
        losses.sum()
    }

    /// Marks the segments that could not be read and have no pending records, so that they are removed.
    pub(crate) fn resolve_unread(&mut self) {
        let configured = self.cursors.iter().map(|cursor| &cursor.settled);
        let removed = self.removed.iter().map(|removed| &removed.saved.settled);
        let settled: Vec<_> = configured.chain(removed).collect();
        let is_settled = |numbers: &Range<u64>| {
            let mut settled = settled.iter();
            settled.all(|settled| settled.count_missing(numbers.clone()) == 0)
        };
        let unread = self.segments.unread();
        let unread = unread.map(|(first, unread)| (first, unread.numbers.clone()));
        let resolved = unread.filter(|(_, numbers)| is_settled(numbers));
        for (first, numbers) in resolved.collect::<Vec<_>>() {
            self.segments.resolve(first);
            self.unknown.remove(numbers);
        }
    }

    /// Whether a removed target has pending records.
    pub(crate) fn has_records(&self, removed: &RemovedTarget) -> bool {
        !removed.pending.is_empty() || self.unread_records(&removed.saved.settled) > 0
    }
}

/// How many of `numbers` are neither settled nor unknown.
fn missing(settled: &NumberSet, numbers: &Range<u64>, unknown: &NumberSet) -> u64 {
    let gaps = settled.gaps(numbers.clone()).into_iter();
    gaps.map(|gap| unknown.count_missing(gap)).sum()
}
