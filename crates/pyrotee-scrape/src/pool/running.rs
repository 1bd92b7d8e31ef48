//! Keeps one loop for each scrape target of a job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::Gauge;
use pyrotee_queue::{Part, lock};
use pyrotee_scrape_config::Job;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::key::LoopKey;
use super::scrape_loop::{Loop, LoopStatus};
use super::{Context, Status};
use crate::discovery::{self, Discovered};
use crate::limits::LoopPermit;
use crate::metrics::Skip;
use crate::status::{Health, TargetStatus};
use crate::target::ScrapeTarget;

/// Time after a panic until the pool goes on.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// The task of a pool.
pub(super) struct Running {
    context: Arc<Context>,
    jobs: watch::Receiver<Arc<Job>>,
    status: Arc<Mutex<Status>>,
    stop: CancellationToken,
    loops: BTreeMap<LoopKey, Entry>,
    /// Number of scrape targets that have no loop, because `max-targets` is reached.
    refused: u64,
}

/// A loop that runs. Dropping it ends the loop.
struct Entry {
    status: Arc<LoopStatus>,
    stop: CancellationToken,
    /// The series of the job, in which the loop counts. A pool that starts anew counts beside the old one.
    targets: Gauge,
    _permit: LoopPermit,
}

impl Running {
    pub(super) fn new(
        context: Arc<Context>,
        jobs: watch::Receiver<Arc<Job>>,
        status: Arc<Mutex<Status>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            context,
            jobs,
            status,
            stop,
            loops: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Runs until the pool stops, and goes on after a panic.
    pub(super) async fn supervised(mut self) {
        let supervisor = self.context.shared.supervisor.clone();
        while !self.stop.is_cancelled() {
            let ended = supervisor.catch_future(Part::Scrape, self.run()).await;
            if ended.is_err() {
                sleep(AFTER_PANIC).await;
            }
        }
        self.loops.clear();
    }

    async fn run(&mut self) {
        let stop = self.stop.clone();
        let mut room = self.context.shared.loops.room();
        loop {
            let job = Arc::clone(&self.jobs.borrow_and_update());
            let stop_discovery = self.stop.child_token();
            let _ends_discovery = stop_discovery.clone().drop_guard();
            let max_targets = *room.borrow_and_update();
            let mut discovered = self.discover(&job, max_targets, stop_discovery);
            let mut refusals = interval(job.interval);
            refusals.set_missed_tick_behavior(MissedTickBehavior::Delay);
            self.sync(&job, &discovered.borrow_and_update().clone());
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    Ok(()) = self.jobs.changed() => break,
                    Ok(()) = discovered.changed() => {}
                    Ok(()) = room.changed() => {
                        if self.refused == 0 && *room.borrow() == max_targets {
                            continue;
                        }
                    }
                    _ = refusals.tick() => {
                        self.context.metrics.skipped(Skip::Limit, self.refused);
                        continue;
                    }
                }
                // The discoveries are bounded by the limit that they began with.
                if *room.borrow_and_update() != max_targets {
                    break;
                }
                let found = discovered.borrow_and_update().clone();
                self.sync(&job, &found);
            }
        }
    }

    fn discover(
        &self,
        job: &Arc<Job>,
        max_targets: usize,
        stop: CancellationToken,
    ) -> watch::Receiver<Arc<Discovered>> {
        let shared = &self.context.shared;
        let context = discovery::Context {
            connector: shared.connector.clone(),
            own: Arc::clone(&shared.own),
            max_targets,
            stop,
            tasks: shared.tasks.clone(),
            supervisor: shared.supervisor.clone(),
            clock: shared.clock.clone(),
        };
        (shared.discover)(job, context)
    }

    /// Starts and ends loops, so that there is one for each scrape target.
    fn sync(&mut self, job: &Arc<Job>, found: &Discovered) {
        let targets = found.targets.iter().map(|it| (LoopKey::of(it), it));
        let targets: BTreeMap<_, _> = targets.collect();
        if found.is_complete {
            let wanted: BTreeSet<_> = targets.keys().collect();
            self.loops.retain(|key, _| wanted.contains(key));
        }
        let mut others: Vec<_> = found.dropped.iter().map(|it| it.shown(&job.name)).collect();
        self.refused = 0;
        for (key, target) in targets {
            if let Some(entry) = self.loops.get(&key) {
                entry.status.rediscovered(target);
                continue;
            }
            match self.start(job, &key, target) {
                Some(entry) => drop(self.loops.insert(key, entry)),
                None => {
                    self.refused += 1;
                    others.push(refused(target, &job.name));
                }
            }
        }
        self.context.metrics.syncs.increment(1);
        if self.refused > 0
            && let Some(left_out) = self.context.log.due("limit")
        {
            let (job, refused) = (&job.name, self.refused);
            tracing::warn!(%job, refused, left_out, "scrape targets are not scraped: raise scrape.max-targets");
        }
        let loops = self.loops.values().map(|it| Arc::clone(&it.status));
        *lock(&self.status) = Status {
            loops: loops.collect(),
            others,
        };
    }

    /// Starts a loop. `None`: `max-targets` is reached.
    fn start(&self, job: &Arc<Job>, key: &LoopKey, target: &ScrapeTarget) -> Option<Entry> {
        let profile = &job.profiles.get(&target.profile)?.profile;
        let permit = self.context.shared.loops.permit()?;
        let stop = self.stop.child_token();
        let status = Arc::new(LoopStatus::new(target.clone()));
        let of_loop = Loop::new(&self.context, profile, Arc::clone(&status), stop.clone());
        let tasks = &self.context.shared.tasks;
        tasks.spawn(of_loop.supervised(key.hash()));
        let targets = self.context.metrics.targets.clone();
        targets.increment(1.0);
        Some(Entry {
            status,
            stop,
            targets,
            _permit: permit,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.stop.cancel();
        self.targets.decrement(1.0);
    }
}

/// The status of a scrape target for which there is no room.
fn refused(target: &ScrapeTarget, job: &str) -> TargetStatus {
    TargetStatus {
        health: Health::Dropped,
        last_error: Some("max-targets is reached: raise scrape.max-targets".to_owned()),
        ..target.shown(job)
    }
}
