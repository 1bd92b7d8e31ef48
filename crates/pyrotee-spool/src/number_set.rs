//! A set of record numbers that has few gaps.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers, kept as ranges. The settled numbers of a target that keeps up are one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NumberSet {
    /// Ends by starts. Ranges neither touch nor overlap.
    ranges: BTreeMap<u64, u64>,
}

impl NumberSet {
    /// Number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let before = self.ranges.range(..=number).next_back();
        before.is_some_and(|(_, end)| number < *end)
    }

    pub(crate) fn insert(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        let (mut start, mut end) = (new.start, new.end);
        while let Some((&other, &until)) = self.ranges.range(..=end).next_back()
            && until >= start
        {
            self.ranges.remove(&other);
            start = start.min(other);
            end = end.max(until);
        }
        self.ranges.insert(start, end);
    }

    /// The ranges of numbers below `horizon` that do not belong to the set.
    pub(crate) fn gaps(&self, horizon: u64) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut from = 0;
        for range in self.ranges() {
            if range.start >= horizon {
                break;
            }
            gaps.push(from..range.start);
            from = range.end;
        }
        gaps.push(from..horizon);
        gaps.retain(|gap| !gap.is_empty());
        gaps
    }

    /// The set of all numbers below `horizon` except `numbers`, which must be in order.
    pub(crate) fn all_but(numbers: impl IntoIterator<Item = u64>, horizon: u64) -> Self {
        let mut settled = Self::default();
        let mut from = 0;
        for number in numbers {
            settled.insert(from..number);
            from = number + 1;
        }
        settled.insert(from..horizon);
        settled
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_know_what_a_plain_set_knows(
            inserted in prop::collection::vec((0..60_u64, 0..6_u64), 0..40),
        ) {
            let (mut settled, mut plain) = (NumberSet::default(), BTreeSet::new());
            for (start, len) in inserted {
                settled.insert(start..start + len);
                plain.extend(start..start + len);
            }
            for number in 0..70 {
                prop_assert_eq!(settled.contains(number), plain.contains(&number));
            }
            let gaps: Vec<_> = settled.gaps(70).into_iter().flatten().collect();
            let missing: Vec<_> = (0..70).filter(|number| !plain.contains(number)).collect();
            prop_assert_eq!(&gaps, &missing);
            prop_assert_eq!(NumberSet::all_but(missing, 70), settled.clone());
            let touching = settled.ranges().zip(settled.ranges().skip(1));
            for (left, right) in touching {
                prop_assert!(left.end < right.start);
            }
        }
    }
}
