//! Pacing: limits the bytes of backlog that are sent per second.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// Unused time, at most this much, that later records may use: timers are no finer than a millisecond.
const CREDIT: Duration = Duration::from_millis(100);

/// Keeps an average rate. A record of any size passes at once; the next record waits for as long as the bytes of the
/// record before it take at the rate.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Bytes per second; `None` is no limit.
    rate: Option<NonZeroU64>,
    /// End of the time that the bytes charged so far take at the rate.
    busy_until: Option<Instant>,
}

impl Pacer {
    pub(super) fn new(rate: Option<NonZeroU64>) -> Self {
        Self {
            rate,
            busy_until: None,
        }
    }

    /// Changes the rate. The time that earlier bytes took is forgotten.
    pub(super) fn set_rate(&mut self, rate: Option<NonZeroU64>) {
        if self.rate != rate {
            *self = Self::new(rate);
        }
    }

    /// Earliest time for the next record; `None` if a record may be sent now.
    pub(super) fn blocked_until(&self, now: Instant) -> Option<Instant> {
        self.busy_until.filter(|until| *until > now)
    }

    /// Charges a record of `bytes` that is sent now.
    pub(super) fn charge(&mut self, bytes: u64, now: Instant) {
        let Some(rate) = self.rate else { return };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let from = now.checked_sub(CREDIT).unwrap_or(now);
        let from = self.busy_until.map_or(from, |until| until.max(from));
        self.busy_until = from.checked_add(cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_holds_over_time_for_records_of_any_size() {
        let start = Instant::now();
        for size in [100, 20_000, 3_000_000] {
            let mut pacer = Pacer::new(NonZeroU64::new(2_000_000));
            let (mut now, mut sent) = (start, 0);
            while now < start + Duration::from_secs(60) {
                pacer.charge(size, now);
                sent += size;
                now = pacer.blocked_until(now).unwrap_or(now);
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
        let mut pacer = Pacer::new(NonZeroU64::new(1_000));
        pacer.charge(1_000, start);
        let later = start + Duration::from_secs(3_600);
        assert_eq!(pacer.blocked_until(later), None);
        pacer.charge(1_000, later);
        assert_eq!(
            pacer.blocked_until(later),
            Some(later + Duration::from_millis(900))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn another_rate_ends_the_wait_and_an_equal_one_does_not() {
        let now = Instant::now();
        let mut pacer = Pacer::new(NonZeroU64::new(1));
        pacer.charge(1_000_000, now);
        let blocked = pacer.blocked_until(now);
        pacer.set_rate(NonZeroU64::new(1));
        assert_eq!(pacer.blocked_until(now), blocked);
        pacer.set_rate(NonZeroU64::new(1_000_000));
        assert_eq!(pacer.blocked_until(now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits() {
        let now = Instant::now();
        let mut pacer = Pacer::new(None);
        pacer.charge(u64::MAX, now);
        assert_eq!(pacer.blocked_until(now), None);
    }
}
