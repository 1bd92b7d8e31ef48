//! Segments that could not be read at the start: counts their pending records, and settles records that are lost.
//!
//! The cursors tell which record numbers of a segment each target has not settled. The lengths of the bodies are not
//! known.

use std::ops::Range;
use std::time::SystemTime;

use pyrotee_segments::NumberSet;

use crate::tracker::TrackerState;

/// The targets that lose the records of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Losers {
    /// All targets.
    All,
    /// The target with this index.
    Target(usize),
}

impl TrackerState {
    /// How many records of segments that could not be read are pending for the target with this index.
    pub(crate) fn unread_records(&self, target: usize) -> u64 {
        let Some(cursor) = self.cursors.get(target) else {
            return 0;
        };
        let unread = self.segments.unread();
        let count = unread.map(|(_, it)| missing(&cursor.settled, &it.numbers, &self.unknown));
        count.sum()
    }

    /// Settles the records of a segment that could not be read. A segment without pending records can be removed.
    /// Returns how many records each target loses, in the order of the cursors.
    pub(crate) fn lose_unread(&mut self, segment: u64, losers: Losers) -> Vec<u64> {
        let tracked = self.segments.get(segment);
        let Some(unread) = tracked.and_then(|segment| segment.unread.as_ref()) else {
            return Vec::new();
        };
        let numbers = unread.numbers.clone();
        let mut losses = Vec::new();
        for (index, cursor) in self.cursors.iter_mut().enumerate() {
            let loses = losers == Losers::All || losers == Losers::Target(index);
            if loses {
                losses.push(missing(&cursor.settled, &numbers, &self.unknown));
                cursor.settled.insert(numbers.clone());
            } else {
                losses.push(0);
            }
        }
        self.unsaved += 1;
        self.resolve_unread();
        losses
    }

    /// Settles the records of segments that could not be read and were last written to before `received_before`, for
    /// the target with this index. Returns how many records it loses.
    pub(crate) fn expire_unread(&mut self, target: usize, received_before: SystemTime) -> u64 {
        let is_old = |modified: Option<SystemTime>| modified.is_some_and(|it| it < received_before);
        let old = self.segments.unread().filter(|(_, it)| is_old(it.modified));
        let old: Vec<_> = old.map(|(first, _)| first).collect();
        self.lose_each_unread(old, target)
    }

    /// Settles the records of all segments that could not be read, for the target with this index. Returns how many
    /// records it loses.
    pub(crate) fn lose_all_unread(&mut self, target: usize) -> u64 {
        let all: Vec<_> = self.segments.unread().map(|(first, _)| first).collect();
        self.lose_each_unread(all, target)
    }

    fn lose_each_unread(&mut self, segments: Vec<u64>, target: usize) -> u64 {
        let losses = segments.into_iter();
        let losses = losses.flat_map(|segment| self.lose_unread(segment, Losers::Target(target)));
        losses.sum()
    }

    /// Marks the segments that could not be read and have no pending records, so that they are removed.
    fn resolve_unread(&mut self) {
        let is_settled = |numbers: &Range<u64>| {
            let mut cursors = self.cursors.iter();
            cursors.all(|cursor| cursor.settled.count_missing(numbers.clone()) == 0)
        };
        let unread = self.segments.unread();
        let unread = unread.map(|(first, unread)| (first, unread.numbers.clone()));
        let resolved = unread.filter(|(_, numbers)| is_settled(numbers));
        for (first, numbers) in resolved.collect::<Vec<_>>() {
            self.segments.resolve(first);
            self.unknown.remove(numbers);
        }
    }
}

/// How many of `numbers` are neither settled nor unknown.
fn missing(settled: &NumberSet, numbers: &Range<u64>, unknown: &NumberSet) -> u64 {
    let gaps = settled.gaps(numbers.clone()).into_iter();
    gaps.map(|gap| unknown.count_missing(gap)).sum()
}
