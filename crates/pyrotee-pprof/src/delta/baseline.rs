//! The cumulative values of the last profile of a loop.

use crate::Pprof;

/// The cumulative values of the last profile of a loop, by stack. Empty before the first profile.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    /// Keys of the stacks, sorted.
    keys: Vec<u128>,
    /// The values of all stacks in the order of their keys, one for each cumulative type.
    values: Vec<i64>,
    /// The sum of each cumulative type; `None` before the first profile.
    sums: Option<Vec<i64>>,
    time_nanos: i64,
}

impl Baseline {
    /// The values of these types in a profile.
    pub(super) fn of(profile: &Pprof<'_>, kinds: &[usize]) -> Self {
        let mut stacks: Vec<_> = (0..profile.stacks())
            .filter_map(|stack| Some((profile.key(stack)?, stack)))
            .collect();
        stacks.sort_unstable();
        let mut sums = vec![0_i64; kinds.len()];
        let mut values = Vec::with_capacity(stacks.len() * kinds.len());
        for (_, stack) in &stacks {
            let of_stack = profile.values(*stack);
            for (sum, kind) in sums.iter_mut().zip(kinds) {
                let value = of_stack.get(*kind).copied().unwrap_or(0);
                *sum = sum.saturating_add(value);
                values.push(value);
            }
        }
        // Not collected in place, which would keep the memory of the larger elements.
        let mut keys = Vec::with_capacity(stacks.len());
        keys.extend(stacks.iter().map(|(key, _)| *key));
        Self {
            keys,
            values,
            sums: Some(sums),
            time_nanos: profile.time_nanos(),
        }
    }

    /// Memory of the baseline in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<u128>() + self.values.capacity() * size_of::<i64>()
    }

    /// Memory of the baseline of a profile with so many stacks and cumulative types, in bytes.
    pub fn bytes_for(stacks: usize, kinds: usize) -> usize {
        stacks * (size_of::<u128>() + kinds * size_of::<i64>())
    }

    /// Whether there is no profile yet.
    pub fn is_empty(&self) -> bool {
        self.sums.is_none()
    }

    /// Whether `new` has the same number of cumulative types. Only a first profile and a changed application differ.
    pub(super) fn is_comparable_with(&self, new: &Self) -> bool {
        let types = |baseline: &Self| baseline.sums.as_ref().map(Vec::len);
        types(self) == types(new)
    }

    /// Whether a sum is less than in `old`. Cumulative values only grow while a process lives.
    pub(super) fn fell_below(&self, old: &Self) -> bool {
        let sums = self.sums.iter().flatten().zip(old.sums.iter().flatten());
        let mut fell = sums.map(|(new, old)| new < old);
        fell.any(|fell| fell)
    }

    /// The values of a stack, one for each cumulative type.
    pub(super) fn values(&self, key: u128) -> Option<&[i64]> {
        let place = self.keys.binary_search(&key).ok()?;
        let kinds = self.sums.as_ref()?.len();
        self.values.get(place * kinds..(place + 1) * kinds)
    }

    /// When the profile was taken, in nanoseconds since 1970.
    pub(super) fn time_nanos(&self) -> i64 {
        self.time_nanos
    }
}
