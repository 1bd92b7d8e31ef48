//! The concurrency limit of one target: how many uploads may be in flight at once.

use std::time::Duration;

use tokio::time::Instant;

/// First limit of a target, as a fraction of `queue-workers`: with the default of 64 workers, 60 uploads per second
/// reach a Pyroscope that takes 0.5 s for each.
const INITIAL_SHARE: f64 = 0.5;

/// Lowest first limit: half of a few workers could be one, and then a single slow response blocks all uploads.
const MIN_INITIAL_LIMIT: f64 = 4.0;

/// Multiplicative-decrease factor, applied on push-back.
const DECREASE_FACTOR: f64 = 0.5;

/// Fewest uploads of a round. The mean latencies of rounds are compared; the mean of fewer uploads depends more on
/// their sizes than on the target.
const MIN_ROUND: u32 = 16;

/// Rounds between two trials of a lower limit.
const ROUNDS_BETWEEN_TRIALS: u32 = 4;

/// The limit during a trial, as a fraction of the limit before it.
const TRIAL_FACTOR: f64 = 0.75;

/// A trial's lower limit is kept if its throughput is at least this fraction of the throughput before the trial: then
/// the uploads above the lower limit only waited at the target.
const KEEP_FACTOR: f64 = 0.95;

/// Additive increase, multiplicative decrease, as in TCP (RFC 5681), between 1 and a maximum. The limit doubles
/// per round up to the slow start threshold, grows by one per round above it, and halves when the target pushes
/// back.
///
/// High latency alone does not show congestion: a Pyroscope 2.x responds in batches every 500 ms, however many
/// uploads wait. So every few rounds under load, a trial lowers the limit for one round. If throughput stays the
/// same, the uploads themselves had raised the latency, and the lower limit is kept.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    max: f64,
    limit: f64,
    slow_start_threshold: f64,
    /// When the limit last changed. Uploads that started earlier ran under another limit and do not count.
    changed_at: Option<Instant>,
    round: Round,
    /// Rounds since the last trial.
    rounds: u32,
    /// The trial in progress; `None` between trials.
    trial: Option<Trial>,
}

/// The uploads of one round under load.
#[derive(Debug, Default)]
struct Round {
    latency: Duration,
    uploads: u32,
}

/// The limit before a trial of a lower one, and the throughput at that limit.
#[derive(Debug)]
struct Trial {
    limit: f64,
    /// Uploads per second.
    throughput: f64,
}

/// One upload as a sample for the concurrency limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct UploadSample {
    pub(super) started: Instant,
    /// The uploads in flight reached the limit while this upload was in flight.
    pub(super) limit_reached: bool,
    /// Uploads in flight when this upload ended, itself included.
    pub(super) in_flight: usize,
}

impl ConcurrencyLimit {
    /// A limit between 1 and `max`; a `max` of 0 is taken for 1.
    pub(super) fn new(max: usize) -> Self {
        let max = bound(max);
        Self {
            max,
            limit: (max * INITIAL_SHARE).max(MIN_INITIAL_LIMIT).min(max).ceil(),
            slow_start_threshold: max,
            changed_at: None,
            round: Round::default(),
            rounds: 0,
            trial: None,
        }
    }

    /// Changes the upper bound; 0 is taken for 1. A raised bound is reached in slow start, unless the target pushed back.
    pub(super) fn set_max(&mut self, max: usize, now: Instant) {
        let max = bound(max);
        if self.slow_start_threshold >= self.max.min(max) {
            self.slow_start_threshold = max;
        }
        self.max = max;
        if self.limit > max {
            self.trial = None;
            self.change_to(max, now);
        }
    }

    /// The limit at this instant.
    pub(super) fn limit(&self) -> usize {
        whole(self.limit)
    }

    /// The upper bound of the limit.
    pub(super) fn max(&self) -> usize {
        whole(self.max)
    }

    /// Counts an upload that the target acknowledged after `latency`, and raises the limit if it was reached.
    pub(super) fn succeeded(&mut self, latency: Duration, sample: UploadSample, now: Instant) {
        if self.predates_change(sample) || !sample.limit_reached {
            return;
        }
        if self.trial.is_none() {
            let step = if self.limit < self.slow_start_threshold {
                1.0
            } else {
                1.0 / self.limit
            };
            self.limit = (self.limit + step).min(self.max);
        }
        self.round.latency += latency;
        self.round.uploads += 1;
        if self.round.uploads >= MIN_ROUND && f64::from(self.round.uploads) >= self.limit {
            self.end_round(now);
        }
    }

    /// Halves the limit after push-back. The new limit is half of the uploads in flight, if these are fewer than the
    /// old limit (RFC 5681 equation 4).
    pub(super) fn pushed_back(&mut self, sample: UploadSample, now: Instant) {
        if self.predates_change(sample) {
            return;
        }
        let in_flight = u32::try_from(sample.in_flight).map_or(f64::MAX, f64::from);
        self.slow_start_threshold = (self.limit * DECREASE_FACTOR).max(1.0);
        self.change_to(self.limit.min(in_flight) * DECREASE_FACTOR, now);
        self.trial = None;
    }

    /// Sets the limit to one upload at once, after an outage.
    pub(super) fn restart(&mut self, now: Instant) {
        self.change_to(1.0, now);
        self.trial = None;
    }

    fn end_round(&mut self, now: Instant) {
        let Round { latency, uploads } = std::mem::take(&mut self.round);
        // Little's law: throughput = uploads in flight / mean latency.
        let mean = latency.as_secs_f64() / f64::from(uploads);
        let throughput = self.limit / mean.max(f64::EPSILON);
        match self.trial.take() {
            Some(before) if throughput < before.throughput * KEEP_FACTOR => {
                self.change_to(before.limit, now);
                self.rounds = 0;
            }
            Some(_) => {
                self.slow_start_threshold = self.limit;
                // An even lower limit may be enough.
                self.start_trial(throughput, now);
            }
            None => {
                self.rounds += 1;
                if self.rounds >= ROUNDS_BETWEEN_TRIALS {
                    self.start_trial(throughput, now);
                }
            }
        }
    }

    fn start_trial(&mut self, throughput: f64, now: Instant) {
        self.rounds = 0;
        let lower = (self.limit * TRIAL_FACTOR).floor();
        if lower >= 1.0 && lower < self.limit.floor() {
            self.trial = Some(Trial {
                limit: self.limit,
                throughput,
            });
            self.change_to(lower, now);
        }
    }

    fn change_to(&mut self, limit: f64, now: Instant) {
        self.limit = limit.clamp(1.0, self.max);
        self.changed_at = Some(now);
        self.round = Round::default();
    }

    fn predates_change(&self, sample: UploadSample) -> bool {
        self.changed_at.is_some_and(|at| sample.started < at)
    }
}

/// The upper bound for `max` uploads.
fn bound(max: usize) -> f64 {
    u32::try_from(max.max(1)).map_or(f64::MAX, f64::from)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and a usize"
)]
fn whole(limit: f64) -> usize {
    limit as usize
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

    /// Runs rounds of as many uploads as the limit allows. `takes`: the latency of each, by their number.
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
    async fn it_begins_at_half_and_after_an_outage_at_one() {
        let mut concurrency = ConcurrencyLimit::new(100);
        for expected in [50, 100, 100] {
            assert_eq!(concurrency.limit(), expected);
            run(&mut concurrency, 1, |_| FAST);
        }
        let later = Instant::now() + FAST;
        concurrency.pushed_back(sample(later, 100), later);
        assert_eq!(concurrency.limit(), 50);
        concurrency.restart(Instant::now());
        for expected in [1, 2, 4, 8] {
            assert_eq!(concurrency.limit(), expected);
            tokio::time::advance(FAST).await;
            run(&mut concurrency, 1, |_| FAST);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_refusals_of_one_round_count_once() {
        let start = Instant::now();
        let mut concurrency = ConcurrencyLimit::new(64);
        run(&mut concurrency, 2, |_| FAST);
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
        // The target serves eight uploads at once; the others wait.
        let takes = |limit: usize| 20 * FAST * u32::try_from(limit.div_ceil(8)).unwrap();
        run(&mut concurrency, 80, takes);
        for _ in 0..250 {
            run(&mut concurrency, 1, takes);
            assert!(concurrency.limit() <= 18, "{}", concurrency.limit());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn latency_that_does_not_grow_with_the_uploads_is_no_congestion() {
        let mut concurrency = ConcurrencyLimit::new(64);
        run(&mut concurrency, 20, |_| FAST);
        for _ in 0..400 {
            run(&mut concurrency, 1, |_| 50 * FAST);
            assert!(concurrency.limit() >= 48, "{}", concurrency.limit());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_maximum_lowers_it_at_once_and_raises_it_by_demand() {
        let mut concurrency = ConcurrencyLimit::new(64);
        concurrency.set_max(4, Instant::now());
        assert_eq!((concurrency.limit(), concurrency.max()), (4, 4));
        concurrency.set_max(0, Instant::now());
        assert_eq!((concurrency.limit(), concurrency.max()), (1, 1));
        concurrency.set_max(16, Instant::now());
        for expected in [1, 2, 4, 8, 16] {
            assert_eq!(concurrency.limit(), expected);
            tokio::time::advance(FAST).await;
            run(&mut concurrency, 1, |_| FAST);
        }
        // A limit that push-back lowered grows slowly, whatever the maximum.
        let later = Instant::now() + FAST;
        concurrency.pushed_back(sample(later, 16), later);
        concurrency.set_max(64, later);
        concurrency.set_max(12, later);
        assert_eq!(concurrency.limit(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn without_demand_it_does_not_change_and_it_never_ends_below_one() {
        let now = Instant::now();
        let mut concurrency = ConcurrencyLimit::new(0);
        assert_eq!(concurrency.limit(), 1);
        concurrency.pushed_back(sample(now, 1), now);
        assert_eq!(concurrency.limit(), 1);
        let mut concurrency = ConcurrencyLimit::new(64);
        for _ in 0..200 {
            let idle = UploadSample {
                limit_reached: false,
                ..sample(now, 1)
            };
            concurrency.succeeded(FAST, idle, now);
        }
        assert_eq!(concurrency.limit(), 32);
    }
}
