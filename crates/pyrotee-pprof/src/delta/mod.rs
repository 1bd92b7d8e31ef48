//! Deltas of cumulative values: what was allocated, waited for or blocked since the last profile of one loop.
//!
//! A Go process reports cumulative values since its start, and neither Pyroscope 2.x nor a remote target subtracts them.

mod baseline;
#[cfg(test)]
mod tests;

use crate::Pprof;

pub use baseline::Baseline;

/// What has become of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// The first profile of a loop, which is the baseline of the next one.
    First,
    /// The values of a type fell: the process was restarted, and this profile is the new baseline. The profile has its
    /// own values of types that are not cumulative; `None` if all of them are 0.
    Reset(Option<Vec<u8>>),
    /// The profile since the last one; `None` if nothing happened and all other values are 0.
    Since(Option<Vec<u8>>),
}

impl Baseline {
    /// The profile since the last one, which becomes the new baseline. `cumulative` says for each sample type whether
    /// its values are cumulative; further types are not.
    ///
    /// The value of a stack that fell by itself counts as 0 (github.com/grafana/pyroscope issue 2285): no value is
    /// negative.
    pub fn advance(&mut self, profile: &Pprof<'_>, cumulative: &[bool]) -> Delta {
        let types = profile.sample_types().len();
        let is_cumulative = |kind: usize| cumulative.get(kind).copied().unwrap_or(false);
        let kinds: Vec<usize> = (0..types).filter(|kind| is_cumulative(*kind)).collect();
        let new = Self::of(profile, &kinds);
        let old = std::mem::replace(self, new);
        if !old.is_comparable_with(self) {
            return Delta::First;
        }
        let is_reset = self.fell_below(&old);
        let mut values = Vec::with_capacity(profile.stacks() * types);
        for stack in 0..profile.stacks() {
            let start = values.len();
            values.extend_from_slice(profile.values(stack));
            let before = profile.key(stack).and_then(|key| old.values(key));
            for (place, kind) in kinds.iter().enumerate() {
                let before = before.and_then(|values| values.get(place)).copied();
                if let Some(value) = values.get_mut(start + kind) {
                    *value = match is_reset {
                        true => 0,
                        false => value.saturating_sub(before.unwrap_or(0)).max(0),
                    };
                }
            }
        }
        let duration = self.time_nanos().checked_sub(old.time_nanos());
        let written = profile.with_values(&values, duration.filter(|nanos| *nanos > 0));
        match is_reset {
            true => Delta::Reset(written),
            false => Delta::Since(written),
        }
    }
}
