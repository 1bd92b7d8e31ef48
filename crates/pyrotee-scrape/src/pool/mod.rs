//! The loops of one job.

mod app_clock;
mod key;
mod outcome;
mod round;
mod running;
mod scrape_loop;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::{LogLimiter, lock};
use pyrotee_scrape_config::{HttpClientSettings, Job};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fetch::Client;
use crate::metrics::JobMetrics;
use crate::shared::Shared;
use crate::target::Origin;
use crate::{TargetStatus, discovery};
use running::Running;
use scrape_loop::LoopStatus;

/// Time between two log lines of a job about scrapes that failed for the same reason.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// The loops of one job. Dropping it ends them.
pub(crate) struct Pool {
    context: Arc<Context>,
    /// The job in force.
    job: watch::Sender<Arc<Job>>,
    status: Arc<Mutex<Status>>,
    stop: CancellationToken,
}

/// What the loops of a job share.
pub(crate) struct Context {
    pub(crate) name: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: JobMetrics,
    pub(crate) log: LogLimiter,
    /// `body-size-limit` in bytes; `None`: the limit of all jobs alone.
    pub(crate) max_body: Option<u64>,
    clients: Mutex<Clients>,
}

/// How applications are asked.
#[derive(Debug, Clone)]
struct Clients {
    for_static: Client,
    for_discovered: Client,
}

/// What is known of the scrape targets of a job.
#[derive(Debug, Default)]
struct Status {
    loops: Vec<Arc<LoopStatus>>,
    /// Scrape targets without a loop.
    others: Vec<TargetStatus>,
}

impl Pool {
    pub(crate) fn start(job: &Job, shared: &Arc<Shared>) -> Self {
        let context = Arc::new(Context {
            name: job.name.clone(),
            metrics: JobMetrics::new(&job.name),
            log: LogLimiter::new(BETWEEN_LINES),
            max_body: job.max_body,
            clients: Mutex::new(Clients::new(shared, &job.client)),
            shared: Arc::clone(shared),
        });
        context.metrics.pools.increment(1);
        let (job, jobs) = watch::channel(Arc::new(job.clone()));
        let pool = Self {
            stop: shared.stop.child_token(),
            status: Arc::default(),
            context,
            job,
        };
        let running = Running::new(
            Arc::clone(&pool.context),
            jobs,
            Arc::clone(&pool.status),
            pool.stop.clone(),
        );
        shared.tasks.spawn(running.supervised());
        pool
    }

    pub(crate) fn name(&self) -> &str {
        &self.context.name
    }

    /// Puts a job of the same name in force. `false`: the loops have to start anew, because the job scrapes other
    /// profiles, or at other times.
    pub(crate) fn update(&self, new: &Job) -> bool {
        let old = Arc::clone(&self.job.borrow());
        if *old == *new {
            return true;
        }
        let with_sources_of_old = Job {
            static_groups: old.static_groups.clone(),
            file_discoveries: old.file_discoveries.clone(),
            http_discoveries: old.http_discoveries.clone(),
            client: old.client.clone(),
            ..new.clone()
        };
        if with_sources_of_old != *old {
            return false;
        }
        if new.client != old.client {
            *lock(&self.context.clients) = Clients::new(&self.context.shared, &new.client);
        }
        self.context.metrics.reloads.increment(1);
        self.job.send_replace(Arc::new(new.clone()));
        true
    }

    pub(crate) fn snapshot(&self) -> Vec<TargetStatus> {
        let status = lock(&self.status);
        let loops = status.loops.iter().map(|it| it.shown(&self.context.name));
        loops.chain(status.others.iter().cloned()).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Context {
    /// The client for a scrape target.
    fn client(&self, origin: Origin) -> Client {
        let clients = lock(&self.clients);
        match origin {
            Origin::Static => clients.for_static.clone(),
            Origin::Discovered => clients.for_discovered.clone(),
        }
    }
}

impl Clients {
    fn new(shared: &Shared, settings: &HttpClientSettings) -> Self {
        let guarded = discovery::guarded(&shared.connector, &shared.own);
        Self {
            for_static: Client::new(&shared.connector, settings),
            for_discovered: Client::new(&guarded, settings),
        }
    }
}
