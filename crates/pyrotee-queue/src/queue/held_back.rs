//! Records that are held back: not leased before a given time, for example because the backend cannot read them.

use std::ops::Range;

use tokio::time::Instant;

/// Ranges of numbers that are held back, each with its own time of release. There are few ranges, about one per segment
/// that cannot be read.
#[derive(Debug, Default)]
pub(super) struct HeldBack(Vec<(Range<u64>, Instant)>);

impl HeldBack {
    pub(super) fn add(&mut self, numbers: Range<u64>, until: Instant) {
        let known = self.0.iter_mut().find(|(held, _)| *held == numbers);
        match known {
            Some((_, end)) => *end = until.max(*end),
            None => self.0.push((numbers, until)),
        }
    }

    /// Releases the ranges whose time of release is not after `now`.
    pub(super) fn release(&mut self, now: Instant) {
        self.0.retain(|(_, until)| *until > now);
    }

    /// When the next range is released. `None`: no range is held back.
    pub(super) fn next_release(&self) -> Option<Instant> {
        self.0.iter().map(|(_, until)| *until).min()
    }

    /// The end of a range that contains `number`. `None`: the number is not held back.
    pub(super) fn end_of(&self, number: u64) -> Option<u64> {
        let mut held = self.0.iter();
        let found = held.find(|(numbers, _)| numbers.contains(&number));
        found.map(|(numbers, _)| numbers.end)
    }
}
