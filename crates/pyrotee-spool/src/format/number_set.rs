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
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

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

    pub(crate) fn remove(&mut self, old: Range<u64>) {
        if old.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.ranges.range(..old.end).next_back()
            && end > old.start
        {
            self.ranges.remove(&start);
            self.insert(start..old.start.max(start));
            self.insert(old.end.min(end)..end);
        }
    }

    /// The ranges of `numbers` that do not belong to the set.
    pub(crate) fn gaps(&self, numbers: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut from = numbers.start;
        let before = self.ranges.range(..=from).next_back();
        let first = before.map_or(from, |(start, _)| *start);
        for (start, end) in self.ranges.range(first..numbers.end) {
            gaps.push(from..*start);
            from = from.max(*end);
        }
        gaps.push(from..numbers.end);
        gaps.retain(|gap| !gap.is_empty());
        gaps
    }

    /// How many of `numbers` do not belong to the set.
    pub(crate) fn count_missing(&self, numbers: Range<u64>) -> u64 {
        let gaps = self.gaps(numbers);
        gaps.iter().map(|gap| gap.end - gap.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn missing_of(plain: &BTreeSet<u64>, numbers: Range<u64>) -> Vec<u64> {
        numbers.filter(|number| !plain.contains(number)).collect()
    }

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
            let gaps: Vec<_> = settled.gaps(0..70).into_iter().flatten().collect();
            let missing: Vec<_> = (0..70).filter(|number| !plain.contains(number)).collect();
            prop_assert_eq!(&gaps, &missing);
            let some: Vec<_> = settled.gaps(13..31).into_iter().flatten().collect();
            prop_assert_eq!(&some, &missing_of(&plain, 13..31));
            prop_assert_eq!(settled.count_missing(13..31), some.len() as u64);
            settled.remove(13..31);
            plain.retain(|number| !(13..31).contains(number));
            let gaps: Vec<_> = settled.gaps(0..70).into_iter().flatten().collect();
            prop_assert_eq!(gaps, missing_of(&plain, 0..70));
            let touching = settled.ranges().zip(settled.ranges().skip(1));
            for (left, right) in touching {
                prop_assert!(left.end < right.start);
            }
        }
    }
}
