//! Exponential backoff: the delay before the next attempt after a failure.

use std::time::Duration;

/// Shortest and longest `Retry-After` that is obeyed. A shorter pause would make a busy loop, a longer pause an
/// outage through a mistake of the target.
const RETRY_AFTER_RANGE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

/// Longest delay of a backoff that relays share: a target that is back must not wait for longer, however many relays
/// there are, if the relay that noticed cannot tell the others.
const MAX_SHARED: Duration = Duration::from_secs(600);

/// Exponential backoff with jitter: the bound doubles from failure to failure up to `max`, and a delay is random
/// between `min_fraction` of the bound and the bound. With full jitter a delay could be near zero, so a target that
/// is down would be probed too often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    min_fraction: f64,
}

impl Backoff {
    /// For a target that fails, and for a record whose upload failed: at most six attempts a minute from the
    /// sixth failure on.
    pub(crate) const FAILING: Self = Self {
        initial: Duration::from_secs(1),
        max: Duration::from_secs(30),
        min_fraction: 1.0 / 3.0,
    };

    /// For a suspended surface: a person must repair the configuration, which takes longer than these delays.
    pub(crate) const BROKEN: Self = Self {
        initial: Duration::from_secs(30),
        max: Duration::from_secs(120),
        min_fraction: 5.0 / 6.0,
    };

    /// The backoff of one of `relays` relays with the same target: together they probe it as often as one relay would
    /// with `self`.
    pub(super) fn shared_by(self, relays: u32) -> Self {
        let scaled = |delay: Duration| delay.saturating_mul(relays.max(1)).min(MAX_SHARED);
        Self {
            initial: scaled(self.initial),
            max: scaled(self.max),
            ..self
        }
    }

    /// The delay after this number of consecutive failures.
    pub(crate) fn delay(self, failures: u32) -> Duration {
        let factor = 1 << failures.saturating_sub(1).min(10);
        let bound = self.initial.saturating_mul(factor).min(self.max);
        bound.mul_f64(self.min_fraction + (1.0 - self.min_fraction) * fastrand::f64())
    }

    /// The delay for a target's `Retry-After`, plus up to a tenth at random: the target sends the same value to
    /// all its clients.
    pub(crate) fn retry_after(requested: Duration) -> Duration {
        let [min, max] = RETRY_AFTER_RANGE;
        requested
            .clamp(min, max)
            .mul_f64(1.0 + fastrand::f64() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_within_their_bounds() {
        let seconds = Duration::from_secs_f64;
        for (failures, least, most) in [
            (0, 0.333, 1.0),
            (1, 0.333, 1.0),
            (2, 0.666, 2.0),
            (5, 5.333, 16.0),
            (6, 10.0, 30.0),
            (u32::MAX, 10.0, 30.0),
        ] {
            for _ in 0..200 {
                let delay = Backoff::FAILING.delay(failures);
                assert!(
                    delay >= seconds(least) && delay <= seconds(most),
                    "{delay:?}"
                );
            }
        }
        for (failures, least, most) in [(1, 25.0, 30.0), (2, 50.0, 60.0), (3, 100.0, 120.0)] {
            let delay = Backoff::BROKEN.delay(failures);
            assert!(
                delay >= seconds(least) && delay <= seconds(most),
                "{delay:?}"
            );
        }
    }

    #[test]
    fn relays_that_share_a_target_divide_its_probes_and_wait_for_ten_minutes_at_most() {
        let [alone, nobody] = [1, 0].map(|relays| Backoff::BROKEN.shared_by(relays));
        assert_eq!((alone.initial, alone.max), (nobody.initial, nobody.max));
        for (relays, least, most) in [
            (1, 10, 30),
            (4, 40, 120),
            (20, 200, 600),
            (u32::MAX, 200, 600),
        ] {
            let shared = Backoff::FAILING.shared_by(relays);
            for _ in 0..200 {
                let delay = shared.delay(20);
                let range = Duration::from_secs(least)..=Duration::from_secs(most);
                assert!(range.contains(&delay), "{relays}: {delay:?}");
            }
        }
    }

    #[test]
    fn what_a_target_asks_for_is_clamped() {
        let asked = |seconds| Backoff::retry_after(Duration::from_secs(seconds)).as_secs_f64();
        assert!((1.0..=1.1).contains(&asked(0)));
        assert!((5.0..=5.5).contains(&asked(5)));
        assert!((300.0..=330.0).contains(&asked(u64::MAX)));
    }
}
