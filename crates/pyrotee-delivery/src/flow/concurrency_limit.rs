//! Concurrency limit of one target: how many uploads may be in flight at once.

use std::time::Duration;

use tokio::time::Instant;

/// First limit of a target.
const INITIAL_LIMIT: f64 = 4.0;

/// Multiplicative-decrease factor, applied on push-back and on rising latency. A smaller step on rising latency
/// would not show how fast the target responds without load.
const DECREASE_FACTOR: f64 = 0.5;

/// Uploads whose mean latency is compared: the mean of fewer depends more on their sizes than on the target.
const ROUND: u32 = 16;

/// Latency is too high if a round's mean exceeds the best mean by this factor …
const SLOW_FACTOR: f64 = 2.0;

/// … and by this time more, in seconds.
const SLOW_MARGIN: f64 = 0.05;

/// A decrease has helped if the next slow round's mean is at most this part of the mean before it. Otherwise the
/// target has become slower for another reason, and the new mean is taken as its best.
const HELPED_FACTOR: f64 = 0.8;

/// Additive increase, multiplicative decrease, as in TCP (RFC 5681). The limit doubles per round up to the slow
/// start threshold, grows by one per round above it, and halves when the target pushes back or slows down.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    max: f64,
    limit: f64,
    slow_start_threshold: f64,
    /// Uploads that started before this time met the limit before the last decrease and do not count.
    decreased_at: Option<Instant>,
    /// Sum of the latencies of this round, and the number of its uploads.
    latency_sum: Duration,
    uploads: u32,
    /// Lowest mean latency of a round, in seconds.
    best_mean: Option<f64>,
    /// Mean latency of the last round if that was too high.
    slow_mean: Option<f64>,
}

/// One upload as a sample for the concurrency limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct UploadSample {
    pub(super) started: Instant,
    /// The uploads in flight reached the limit while this one was in flight.
    pub(super) limit_reached: bool,
    /// Uploads in flight when this one ended, itself included.
    pub(super) in_flight: usize,
}

impl ConcurrencyLimit {
    /// Between 1 and `max`; 0 is taken for 1.
    pub(super) fn new(max: usize) -> Self {
        let max = u32::try_from(max.max(1)).map_or(f64::MAX, f64::from);
        Self {
            max,
            limit: INITIAL_LIMIT.min(max),
            slow_start_threshold: max,
            decreased_at: None,
            latency_sum: Duration::ZERO,
            uploads: 0,
            best_mean: None,
            slow_mean: None,
        }
    }

    /// Most uploads at once.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a usize"
    )]
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// The target acknowledged an upload after `latency`.
    pub(super) fn succeeded(&mut self, latency: Duration, sample: UploadSample, now: Instant) {
        if self.predates_decrease(sample) {
            return;
        }
        if sample.limit_reached {
            let step = if self.limit < self.slow_start_threshold {
                1.0
            } else {
                1.0 / self.limit
            };
            self.limit = (self.limit + step).min(self.max);
        }
        self.latency_sum += latency;
        self.uploads += 1;
        if self.uploads >= ROUND {
            self.end_round(sample, now);
        }
    }

    /// Decreases the limit: the target asked for less, failed, or has become slow. The new limit follows from the
    /// uploads in flight, which may be fewer than the old limit (RFC 5681 equation 4).
    pub(super) fn pushed_back(&mut self, sample: UploadSample, now: Instant) {
        if self.predates_decrease(sample) {
            return;
        }
        let in_flight = u32::try_from(sample.in_flight).map_or(f64::MAX, f64::from);
        self.slow_start_threshold = (self.limit * DECREASE_FACTOR).max(1.0);
        self.limit = (self.limit.min(in_flight) * DECREASE_FACTOR).max(1.0);
        self.decreased_at = Some(now);
    }

    /// Starts again from one upload at once, after the circuit breaker has closed.
    pub(super) fn restart(&mut self, now: Instant) {
        self.limit = 1.0;
        self.decreased_at = Some(now);
    }

    fn end_round(&mut self, sample: UploadSample, now: Instant) {
        let mean = self.latency_sum.as_secs_f64() / f64::from(self.uploads);
        (self.latency_sum, self.uploads) = (Duration::ZERO, 0);
        let best = self.best_mean.map_or(mean, |best| best.min(mean));
        self.best_mean = Some(best);
        if mean <= best * SLOW_FACTOR + SLOW_MARGIN {
            self.slow_mean = None;
        } else if self
            .slow_mean
            .is_some_and(|slow| mean > slow * HELPED_FACTOR)
        {
            self.best_mean = Some(mean);
            self.slow_mean = None;
        } else {
            self.slow_mean = Some(mean);
            self.pushed_back(sample, now);
        }
    }

    fn predates_decrease(&self, sample: UploadSample) -> bool {
        self.decreased_at.is_some_and(|at| sample.started < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);

    fn sample(started: Instant, in_flight: usize) -> UploadSample {
        UploadSample {
            started,
            limit_reached: true,
            in_flight,
        }
    }

    /// Runs rounds of as many uploads as are allowed; what each takes is up to their number.
    fn run(concurrency: &mut ConcurrencyLimit, rounds: usize, takes: impl Fn(usize) -> Duration) {
        let mut now = Instant::now();
        for _ in 0..rounds {
            let (started, limit) = (now, concurrency.limit());
            now += takes(limit);
            for in_flight in (1..=limit).rev() {
                concurrency.succeeded(takes(limit), sample(started, in_flight), now);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_doubles_per_round_up_to_the_most_or_to_where_trouble_began() {
        let mut concurrency = ConcurrencyLimit::new(100);
        for expected in [4, 8, 16, 32, 64, 100, 100] {
            assert_eq!(concurrency.limit(), expected);
            run(&mut concurrency, 1, |_| FAST);
        }
        let later = Instant::now() + FAST;
        concurrency.pushed_back(sample(later, 100), later);
        assert_eq!(concurrency.limit(), 50);
        concurrency.restart(Instant::now());
        for expected in [1, 2, 4, 8, 16, 32, 50, 51] {
            assert_eq!(concurrency.limit(), expected);
            tokio::time::advance(FAST).await;
            run(&mut concurrency, 1, |_| FAST);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_refusals_of_one_round_count_once() {
        let start = Instant::now();
        let mut concurrency = ConcurrencyLimit::new(64);
        run(&mut concurrency, 10, |_| FAST);
        for in_flight in (1..=64).rev() {
            concurrency.pushed_back(sample(start, in_flight), start + FAST);
        }
        assert_eq!(concurrency.limit(), 32);
        concurrency.pushed_back(sample(start + FAST, 8), start + 2 * FAST);
        assert_eq!(concurrency.limit(), 4, "eight were too many");
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_slows_down_under_load_gets_about_what_it_bears() {
        let mut concurrency = ConcurrencyLimit::new(64);
        // It serves eight at once; the others wait.
        let takes = |limit: usize| 20 * FAST * u32::try_from(limit.div_ceil(8)).unwrap();
        run(&mut concurrency, 50, takes);
        for _ in 0..250 {
            run(&mut concurrency, 1, takes);
            assert!(concurrency.limit() <= 18, "{}", concurrency.limit());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_is_slower_for_good_is_used_fully_again() {
        let mut concurrency = ConcurrencyLimit::new(32);
        run(&mut concurrency, 20, |_| FAST);
        run(&mut concurrency, 40, |_| 30 * FAST);
        assert_eq!(concurrency.limit(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn without_demand_it_does_not_grow_and_it_never_ends_below_one() {
        let now = Instant::now();
        let mut concurrency = ConcurrencyLimit::new(0);
        assert_eq!(concurrency.limit(), 1);
        concurrency.pushed_back(sample(now, 1), now);
        assert_eq!(concurrency.limit(), 1);
        let mut concurrency = ConcurrencyLimit::new(64);
        for _ in 0..100 {
            let idle = UploadSample {
                limit_reached: false,
                ..sample(now, 1)
            };
            concurrency.succeeded(FAST, idle, now);
        }
        assert_eq!(concurrency.limit(), 4);
    }
}
