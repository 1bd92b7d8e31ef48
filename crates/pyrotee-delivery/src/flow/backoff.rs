//! How long to wait after a failure.

use std::time::Duration;

/// Shortest and longest `Retry-After` that is taken at its word: less is a loop, more is an outage that
/// nobody ordered.
const ASKED: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

/// A bound that doubles from failure to failure, and how much of it is left to chance.
///
/// A delay lies between `least` times the bound and the bound. Full jitter goes down to zero, and by
/// chance tries a target that is down more often than it ought to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    least: f64,
}

impl Backoff {
    /// For a target, and for a record that failed: never more than six tries a minute once it has grown.
    pub(crate) const FAILING: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
        least: 1.0 / 3.0,
    };

    /// For a (target, surface) that is set up wrongly: people are not faster than that.
    pub(crate) const BROKEN: Self = Self {
        first: Duration::from_secs(30),
        longest: Duration::from_secs(120),
        least: 5.0 / 6.0,
    };

    /// The delay after that many failures in a row.
    pub(crate) fn delay(self, failures: u32) -> Duration {
        let doubled = 1 << failures.saturating_sub(1).min(10);
        let bound = self.first.saturating_mul(doubled).min(self.longest);
        bound.mul_f64(self.least + (1.0 - self.least) * fastrand::f64())
    }

    /// The delay that a target asked for; a tenth more at random, since it asks everybody.
    pub(crate) fn asked(retry_after: Duration) -> Duration {
        let [least, most] = ASKED;
        retry_after
            .clamp(least, most)
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
    fn what_a_target_asks_for_is_clamped() {
        let asked = |seconds| Backoff::asked(Duration::from_secs(seconds)).as_secs_f64();
        assert!((1.0..=1.1).contains(&asked(0)));
        assert!((5.0..=5.5).contains(&asked(5)));
        assert!((300.0..=330.0).contains(&asked(u64::MAX)));
    }
}
