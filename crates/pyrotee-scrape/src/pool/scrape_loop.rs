//! One loop: scrapes one profile of one scrape target, again and again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pyroscope_wire::scrape::{Profile, sample_type_config};
use pyrotee_queue::{Part, lock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::outcome::Outcome;
use crate::TargetStatus;
use crate::metrics::{Failure, ProfileMetrics, Skip};
use crate::process::LoopState;
use crate::schedule::Schedule;
use crate::status::Health;
use crate::target::ScrapeTarget;

/// One profile of one scrape target.
pub(super) struct Loop {
    pub(super) context: Arc<Context>,
    pub(super) profile: Arc<Profile>,
    /// The part `sample_type_config`; `None`: the job names no types.
    pub(super) config: Option<String>,
    pub(super) series: ProfileMetrics,
    pub(super) target: ScrapeTarget,
    /// `None`: a panic has lost it.
    pub(super) state: Option<LoopState>,
    status: Arc<LoopStatus>,
    stop: CancellationToken,
    last_began: Option<Instant>,
}

/// What is known of a loop.
#[derive(Debug)]
pub(super) struct LoopStatus(Mutex<Known>);

#[derive(Debug)]
struct Known {
    target: ScrapeTarget,
    health: Health,
    last_scrape: Option<SystemTime>,
    last_duration: Option<Duration>,
    last_error: Option<String>,
}

impl Loop {
    pub(super) fn new(
        context: &Arc<Context>,
        profile: &Profile,
        status: Arc<LoopStatus>,
        stop: CancellationToken,
    ) -> Self {
        let types = &profile.sample_types;
        let target = lock(&status.0).target.clone();
        Self {
            config: (!types.is_empty()).then(|| sample_type_config(types)),
            series: context.metrics.profile(&profile.path),
            profile: Arc::new(profile.clone()),
            target,
            context: Arc::clone(context),
            state: None,
            status,
            stop,
            last_began: None,
        }
    }

    /// Runs until the loop is stopped, and goes on after a panic.
    pub(super) async fn supervised(mut self, hash: u64) {
        let shared = Arc::clone(&self.context.shared);
        let stop = self.stop.clone();
        let mut schedule = Schedule::new(self.target.interval, hash, shared.clock.now());
        loop {
            let tick = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                tick = schedule.next() => tick,
            };
            let late = Instant::now().saturating_duration_since(tick.due);
            let now = shared.clock.now();
            let due = schedule.nearest(now.checked_sub(late).unwrap_or(now));
            let round = self.round(tick.missed, due);
            let round = shared.supervisor.catch_future(Part::Scrape, round).await;
            if let Err(panic) = round {
                self.state = None;
                let text = format!("the scrape panicked, which is a bug of pyrotee: {panic}");
                let outcome = Outcome::Failed(Failure::Delta, text);
                self.status
                    .scraped(&outcome, shared.clock.now(), Duration::ZERO);
                self.note(&outcome);
            }
        }
    }

    /// Scrapes once and sends the profile. A loop that is stopped sends nothing more, but what it is sending.
    async fn round(&mut self, missed: u64, due: SystemTime) {
        let began = Instant::now();
        let metrics = &self.context.metrics;
        metrics.skipped(Skip::Overrun, missed);
        if let Some(last) = self.last_began.replace(began) {
            metrics.interval_length.record(began - last);
        }
        let began_at = self.context.shared.clock.now();
        let stop = self.stop.clone();
        let scraped = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            scraped = self.scrape() => scraped,
        };
        let outcome = match scraped {
            Ok(scraped) => self.send(scraped, due).await,
            Err(outcome) => outcome,
        };
        self.status.scraped(&outcome, began_at, began.elapsed());
        self.note(&outcome);
    }

    /// Counts and logs what has become of a scrape.
    fn note(&self, outcome: &Outcome) {
        let metrics = &self.context.metrics;
        let (reason, error) = match outcome {
            Outcome::Sent { is_reset } => return metrics.skipped(Skip::Reset, (*is_reset).into()),
            Outcome::Skipped(skip, text) => {
                metrics.skipped(*skip, 1);
                if !matches!(skip, Skip::Budget | Skip::State) {
                    return;
                }
                (skip.as_str(), text)
            }
            Outcome::Failed(failure, text) => {
                metrics.failed(*failure);
                if *failure != Failure::Refused {
                    metrics.scrapes_failed.increment(1);
                }
                (failure.as_str(), text)
            }
        };
        if let Some(left_out) = self.context.log.due(reason) {
            let (job, url) = (&self.context.name, &self.target.url);
            tracing::warn!(%job, %url, reason, %error, left_out, "scraped no profile");
        }
    }
}

impl LoopStatus {
    pub(super) fn new(target: ScrapeTarget) -> Self {
        Self(Mutex::new(Known {
            target,
            health: Health::Unknown,
            last_scrape: None,
            last_duration: None,
            last_error: None,
        }))
    }

    /// The scrape target was found again, perhaps with other discovered labels.
    pub(super) fn rediscovered(&self, target: &ScrapeTarget) {
        let mut known = lock(&self.0);
        if known.target != *target {
            known.target = target.clone();
        }
    }

    fn scraped(&self, outcome: &Outcome, began_at: SystemTime, took: Duration) {
        let mut known = lock(&self.0);
        known.last_scrape = Some(began_at);
        known.last_duration = Some(took);
        known.health = outcome.health().unwrap_or(known.health);
        known.last_error = outcome.text().map(str::to_owned);
    }

    pub(super) fn shown(&self, job: &str) -> TargetStatus {
        let known = lock(&self.0);
        TargetStatus {
            health: known.health,
            last_scrape: known.last_scrape,
            last_duration: known.last_duration,
            last_error: known.last_error.clone(),
            ..known.target.shown(job)
        }
    }
}
