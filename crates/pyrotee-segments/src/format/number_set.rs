//! A set of record numbers that has few gaps.

use std::ops::Range;

use rangemap::RangeSet;

/// A set of numbers, kept as ranges. The settled numbers of a target that keeps up are one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberSet(RangeSet<u64>);

impl NumberSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Ranges that neither touch nor overlap, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().cloned()
    }

    /// Whether `number` belongs to the set.
    pub fn contains(&self, number: u64) -> bool {
        self.0.contains(&number)
    }

    /// Adds these numbers.
    pub fn insert(&mut self, new: Range<u64>) {
        if !new.is_empty() {
            self.0.insert(new);
        }
    }

    /// Removes these numbers.
    pub fn remove(&mut self, old: Range<u64>) {
        if !old.is_empty() {
            self.0.remove(old);
        }
    }

    /// The ranges of `numbers` that do not belong to the set.
    pub fn gaps(&self, numbers: Range<u64>) -> Vec<Range<u64>> {
        match numbers.is_empty() {
            true => Vec::new(),
            false => self.0.gaps(&numbers).collect(),
        }
    }

    /// How many of `numbers` do not belong to the set.
    pub fn count_missing(&self, numbers: Range<u64>) -> u64 {
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
