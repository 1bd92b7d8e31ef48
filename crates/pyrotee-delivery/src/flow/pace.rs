//! How fast a backlog may go out.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// Unused time that may be made up for: timers are no finer than a millisecond.
const CREDIT: Duration = Duration::from_millis(100);

/// Bytes per second, on the average. A record of any size passes; what it costs is paid afterwards.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes per second; `None`: as fast as it goes.
    rate: Option<NonZeroU64>,
    paid_until: Option<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU64>) -> Self {
        Self {
            rate,
            paid_until: None,
        }
    }

    /// When the next may go; `None`: now.
    pub(super) fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.paid_until.filter(|until| *until > now)
    }

    /// `bytes` go out.
    pub(super) fn charge(&mut self, bytes: u64, now: Instant) {
        let Some(rate) = self.rate else { return };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let from = now.checked_sub(CREDIT).unwrap_or(now);
        let from = self.paid_until.map_or(from, |until| until.max(from));
        self.paid_until = from.checked_add(cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_over_time_for_records_of_any_size() {
        let start = Instant::now();
        for size in [100, 20_000, 3_000_000] {
            let mut pace = Pace::new(NonZeroU64::new(2_000_000));
            let (mut now, mut sent) = (start, 0);
            while now < start + Duration::from_secs(60) {
                pace.charge(size, now);
                sent += size;
                now = pace.waits_until(now).unwrap_or(now);
            }
            let expected = 60 * 2_000_000;
            assert!(
                (expected..=expected + 200_000 + size).contains(&sent),
                "{sent}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_is_not_saved_up() {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU64::new(1_000));
        pace.charge(1_000, start);
        let later = start + Duration::from_secs(3_600);
        assert_eq!(pace.waits_until(later), None);
        pace.charge(1_000, later);
        assert_eq!(
            pace.waits_until(later),
            Some(later + Duration::from_millis(900))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits() {
        let now = Instant::now();
        let mut pace = Pace::new(None);
        pace.charge(u64::MAX, now);
        assert_eq!(pace.waits_until(now), None);
    }
}
