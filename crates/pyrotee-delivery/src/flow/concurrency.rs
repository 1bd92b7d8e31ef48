//! How many uploads at once a target bears.

use std::time::Duration;

use tokio::time::Instant;

/// Where a target begins of which nothing is known.
const FIRST: f64 = 4.0;

/// What is left of the limit when it was too much. As much when answers have become slow: less would not
/// show how fast they come when the target is not loaded.
const LEFT: f64 = 0.5;

/// Uploads whose mean counts: fewer say more of their sizes than of the target.
const ROUND: u32 = 16;

/// Answers are slow when their mean is this many times the best …
const SLOW: f64 = 2.0;

/// … and this much more, in seconds.
const SLACK: f64 = 0.05;

/// If less has not made answers faster by a fifth, it was not too much: the target is slower for good.
const HELPED: f64 = 0.8;

/// Additive increase, multiplicative decrease, as TCP does it (RFC 5681): quickly up to where trouble
/// began, one more per round beyond, back at once when the target pushes back or slows down.
#[derive(Debug)]
pub(super) struct Concurrency {
    most: f64,
    limit: f64,
    /// Below it the limit doubles in each round.
    ramp_to: f64,
    /// Uploads that set out before cannot tell how the target bears the limit that came of it.
    cut_at: Option<Instant>,
    sum: Duration,
    count: u32,
    /// Best mean of a round, in seconds.
    best: Option<f64>,
    /// The mean that was too slow, until one is not.
    slow: Option<f64>,
}

/// What an upload can tell of the limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) started: Instant,
    /// As many as allowed were under way, at some time while it was.
    pub(super) full: bool,
    /// Uploads under way at its end, itself included.
    pub(super) beside: usize,
}

impl Concurrency {
    /// Between 1 and `most`; 0 is taken for 1.
    pub(super) fn new(most: usize) -> Self {
        let most = u32::try_from(most.max(1)).map_or(f64::MAX, f64::from);
        Self {
            most,
            limit: FIRST.min(most),
            ramp_to: most,
            cut_at: None,
            sum: Duration::ZERO,
            count: 0,
            best: None,
            slow: None,
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

    /// The target took a profile.
    pub(super) fn took(&mut self, took: Duration, upload: Flight, now: Instant) {
        if self.is_stale(upload) {
            return;
        }
        if upload.full {
            let step = if self.limit < self.ramp_to {
                1.0
            } else {
                1.0 / self.limit
            };
            self.limit = (self.limit + step).min(self.most);
        }
        self.sum += took;
        self.count += 1;
        if self.count >= ROUND {
            self.end_round(upload, now);
        }
    }

    /// The target asked for less, failed, or has become slow. What was under way was too much, which may
    /// be less than was allowed (RFC 5681 equation 4).
    pub(super) fn pushed_back(&mut self, upload: Flight, now: Instant) {
        if self.is_stale(upload) {
            return;
        }
        let flight = u32::try_from(upload.beside).map_or(f64::MAX, f64::from);
        self.ramp_to = (self.limit * LEFT).max(1.0);
        self.limit = (self.limit.min(flight) * LEFT).max(1.0);
        self.cut_at = Some(now);
    }

    /// The target is back after it could not be used: from one on.
    pub(super) fn restart(&mut self, now: Instant) {
        self.limit = 1.0;
        self.cut_at = Some(now);
    }

    fn end_round(&mut self, upload: Flight, now: Instant) {
        let mean = self.sum.as_secs_f64() / f64::from(self.count);
        (self.sum, self.count) = (Duration::ZERO, 0);
        let best = self.best.map_or(mean, |best| best.min(mean));
        self.best = Some(best);
        if mean <= best * SLOW + SLACK {
            self.slow = None;
        } else if self.slow.is_some_and(|slow| mean > slow * HELPED) {
            self.best = Some(mean);
            self.slow = None;
        } else {
            self.slow = Some(mean);
            self.pushed_back(upload, now);
        }
    }

    fn is_stale(&self, upload: Flight) -> bool {
        self.cut_at.is_some_and(|cut| upload.started < cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);

    fn flight(started: Instant, beside: usize) -> Flight {
        Flight {
            started,
            full: true,
            beside,
        }
    }

    /// Runs rounds of as many uploads as are allowed; what each takes is up to their number.
    fn run(concurrency: &mut Concurrency, rounds: usize, takes: impl Fn(usize) -> Duration) {
        let mut now = Instant::now();
        for _ in 0..rounds {
            let (started, limit) = (now, concurrency.limit());
            now += takes(limit);
            for beside in (1..=limit).rev() {
                concurrency.took(takes(limit), flight(started, beside), now);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_doubles_per_round_up_to_the_most_or_to_where_trouble_began() {
        let mut concurrency = Concurrency::new(100);
        for expected in [4, 8, 16, 32, 64, 100, 100] {
            assert_eq!(concurrency.limit(), expected);
            run(&mut concurrency, 1, |_| FAST);
        }
        let later = Instant::now() + FAST;
        concurrency.pushed_back(flight(later, 100), later);
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
        let mut concurrency = Concurrency::new(64);
        run(&mut concurrency, 10, |_| FAST);
        for beside in (1..=64).rev() {
            concurrency.pushed_back(flight(start, beside), start + FAST);
        }
        assert_eq!(concurrency.limit(), 32);
        concurrency.pushed_back(flight(start + FAST, 8), start + 2 * FAST);
        assert_eq!(concurrency.limit(), 4, "eight were too many");
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_slows_down_under_load_gets_about_what_it_bears() {
        let mut concurrency = Concurrency::new(64);
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
        let mut concurrency = Concurrency::new(32);
        run(&mut concurrency, 20, |_| FAST);
        run(&mut concurrency, 40, |_| 30 * FAST);
        assert_eq!(concurrency.limit(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn without_demand_it_does_not_grow_and_it_never_ends_below_one() {
        let now = Instant::now();
        let mut concurrency = Concurrency::new(0);
        assert_eq!(concurrency.limit(), 1);
        concurrency.pushed_back(flight(now, 1), now);
        assert_eq!(concurrency.limit(), 1);
        let mut concurrency = Concurrency::new(64);
        for _ in 0..100 {
            let idle = Flight {
                full: false,
                ..flight(now, 1)
            };
            concurrency.took(FAST, idle, now);
        }
        assert_eq!(concurrency.limit(), 4);
    }
}
