//! The segments of a spool and their totals. Totals are kept up to date, so no method iterates over all segments.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_segments::File;

/// A segment: a file of records.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    /// The file; `None` if the segment could not be read yet. The file stays open until the segment is removed, unless
    /// more than [`Settings::open_files`](crate::Settings::open_files) are open: closing the last handle of an unlinked
    /// file takes long, and the request path may be waiting for a settlement.
    pub(crate) file: Option<Arc<dyn File>>,
    pub(crate) bytes: u64,
    /// Number of claims on the records of the segment.
    pub(crate) pending: u64,
    /// Whether no more records are written to the segment.
    pub(crate) closed: bool,
    /// Whether a part of the segment is damaged.
    pub(crate) damaged: bool,
    /// Present if the segment could not be read yet: its records are in no queue, and it is not removed.
    pub(crate) unread: Option<UnreadSegment>,
}

/// A segment of an earlier process that could not be read yet.
#[derive(Debug, Clone)]
pub(crate) struct UnreadSegment {
    /// Numbers of the records that may be in it.
    pub(crate) numbers: Range<u64>,
    /// When the segment was last written to, so that no record in it is younger. `None`: the operating system does not
    /// tell.
    pub(crate) modified: Option<SystemTime>,
    /// Whether this was the last segment of a process that was killed, so that the end of the file may be torn.
    pub(crate) may_be_torn: bool,
}

/// All segments, by the lowest record number that may be in each.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    all: BTreeMap<u64, Segment>,
    /// Segments that are closed and have no claims.
    done: BTreeSet<u64>,
    /// Segments that could not be read yet.
    unread: BTreeSet<u64>,
    bytes: u64,
    pending: u64,
}

impl Segments {
    pub(crate) fn insert(&mut self, first: u64, segment: Segment) {
        self.remove(first);
        self.bytes += segment.bytes;
        self.pending += segment.pending;
        self.all.insert(first, segment);
        self.change(first, |_| {});
    }

    pub(crate) fn remove(&mut self, first: u64) -> Option<Segment> {
        let segment = self.all.remove(&first)?;
        self.bytes -= segment.bytes;
        self.pending -= segment.pending;
        self.done.remove(&first);
        self.unread.remove(&first);
        Some(segment)
    }

    pub(crate) fn get(&self, first: u64) -> Option<&Segment> {
        self.all.get(&first)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of claims on the records of all segments.
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// The oldest segment.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.all.first_key_value().map(|(first, _)| *first)
    }

    /// The number at which the segment after `first` begins.
    pub(crate) fn next_after(&self, first: u64) -> Option<u64> {
        self.all.range(first + 1..).next().map(|(next, _)| *next)
    }

    /// The segments that could not be read yet.
    pub(crate) fn unread(&self) -> impl Iterator<Item = (u64, &UnreadSegment)> {
        let unread = self.unread.iter();
        unread.filter_map(|first| Some((*first, self.get(*first)?.unread.as_ref()?)))
    }

    /// Notes that a segment was read, or that none of its records is pending.
    pub(crate) fn resolve(&mut self, first: u64) {
        self.change(first, |segment| segment.unread = None);
    }

    /// Notes that a segment that could not be read before was read.
    pub(crate) fn note_read(&mut self, first: u64, file: Arc<dyn File>, bytes: u64, damaged: bool) {
        self.change(first, |segment| {
            segment.file = Some(file);
            segment.bytes = bytes;
            segment.damaged = damaged;
            segment.unread = None;
        });
    }

    /// The segments to be removed, and whether each is damaged.
    pub(crate) fn done(&self) -> Vec<(u64, bool)> {
        let done = self.done.iter();
        let damaged = |first| self.get(first).is_some_and(|segment| segment.damaged);
        done.map(|first| (*first, damaged(*first))).collect()
    }

    pub(crate) fn grow(&mut self, first: u64, bytes: u64) {
        self.change(first, |segment| segment.bytes += bytes);
    }

    /// Notes that no more records are written to a segment, and the segment's length.
    pub(crate) fn close(&mut self, first: u64, bytes: u64) {
        self.change(first, |segment| {
            segment.closed = true;
            segment.bytes = bytes;
        });
    }

    /// Notes that a segment is damaged, so that it is quarantined instead of unlinked.
    pub(crate) fn damage(&mut self, first: u64) {
        self.change(first, |segment| segment.damaged = true);
    }

    /// Replaces the open file of a segment.
    pub(crate) fn set_file(&mut self, first: u64, file: Arc<dyn File>) {
        self.change(first, |segment| segment.file = Some(file));
    }

    pub(crate) fn claim(&mut self, first: u64, claims: u64) {
        self.change(first, |segment| segment.pending += claims);
    }

    /// Takes claims off a segment. Returns whether the segment can be removed.
    pub(crate) fn release(&mut self, first: u64, claims: u64) -> bool {
        self.change(first, |segment| {
            segment.pending = segment.pending.saturating_sub(claims);
        });
        self.done.contains(&first)
    }

    fn change(&mut self, first: u64, change: impl FnOnce(&mut Segment)) {
        let Some(segment) = self.all.get_mut(&first) else {
            return;
        };
        self.bytes -= segment.bytes;
        self.pending -= segment.pending;
        change(segment);
        self.bytes += segment.bytes;
        self.pending += segment.pending;
        match segment.unread {
            Some(_) => self.unread.insert(first),
            None => self.unread.remove(&first),
        };
        if segment.closed && segment.pending == 0 && segment.unread.is_none() {
            self.done.insert(first);
        } else {
            self.done.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_segments(
            steps in prop::collection::vec((0..6_u8, 0..5_u64, 0..9_u64), 0..60),
        ) {
            let mut segments = Segments::default();
            for (step, first, amount) in steps {
                match step {
                    0 => segments.insert(first, Segment { bytes: amount, ..Segment::default() }),
                    1 => drop(segments.remove(first)),
                    2 => segments.grow(first, amount),
                    3 => segments.close(first, amount),
                    4 => segments.claim(first, amount),
                    _ => {
                        let end = segments.release(first, amount);
                        prop_assert_eq!(end, segments.done().iter().any(|(done, _)| *done == first));
                    }
                }
                let all = segments.all.values();
                prop_assert_eq!(segments.bytes(), all.clone().map(|segment| segment.bytes).sum::<u64>());
                prop_assert_eq!(segments.pending(), all.map(|segment| segment.pending).sum::<u64>());
                let done = segments.all.iter().filter(|(_, segment)| segment.closed && segment.pending == 0);
                let done: Vec<_> = done.map(|(first, _)| (*first, false)).collect();
                prop_assert_eq!(segments.done(), done);
            }
        }
    }
}
