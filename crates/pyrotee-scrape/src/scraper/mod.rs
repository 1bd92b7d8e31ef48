//! All jobs together.

mod shared;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pyrotee_net::Connector;
use pyrotee_queue::{Budget, Supervisor, lock};
use pyrotee_scrape_config::Scrape;
use tokio::time::timeout;

pub(crate) use shared::Shared;

use crate::pool::Pool;
use crate::{Sender, TargetStatus, discovery};
use shared::Discover;

/// Time limit of [`Scraper::stop`].
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Runs the jobs of `scrape-configs`. Clones are the same scraper.
#[derive(Clone)]
pub struct Scraper {
    shared: Arc<Shared>,
    /// In the order of the configuration.
    pools: Arc<Mutex<Vec<Pool>>>,
}

/// What a scraper works with.
pub struct Parts {
    /// Template for connections to scrape targets: resolver, authorities of the system, counts.
    pub connector: Connector,
    /// The relay's own stack.
    pub sender: Arc<dyn Sender>,
    /// `memory-limit`, to which profiles are charged while they are scraped.
    pub budget: Arc<Budget>,
    pub supervisor: Supervisor,
    /// The relay's own listeners, which are not scraped if a discovery names them.
    pub own: Vec<SocketAddr>,
    pub clock: Clock,
}

/// A wall clock. Tests pass their own, because pausing tokio's clock does not stop the system's. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Scraper {
    /// Starts without jobs. Jobs run in the runtime in which [`Scraper::apply`] is called.
    pub fn start(parts: Parts) -> Self {
        Self::with_discovery(parts, Box::new(discovery::start))
    }

    pub(crate) fn with_discovery(parts: Parts, discover: Discover) -> Self {
        Self {
            shared: Arc::new(Shared::new(parts, discover)),
            pools: Arc::default(),
        }
    }

    /// Puts a configuration in force. A job that is equal, or differs only in its scrape targets and in how they are
    /// asked, keeps its loops and baselines; any other job starts anew, and the loops of a removed job end.
    pub fn apply(&self, scrape: &Scrape) {
        if self.shared.stop.is_cancelled() {
            return;
        }
        self.shared.apply(scrape);
        let mut pools = lock(&self.pools);
        let mut old = std::mem::take(&mut *pools);
        for job in &scrape.jobs {
            let place = old.iter().position(|pool| pool.name() == job.name);
            let kept = place.map(|place| old.swap_remove(place));
            let kept = kept.filter(|pool| pool.update(job));
            pools.push(kept.unwrap_or_else(|| Pool::start(job, &self.shared)));
        }
    }

    /// All scrape targets by job, dropped ones included.
    pub fn snapshot(&self) -> Vec<TargetStatus> {
        let pools = lock(&self.pools);
        pools.iter().flat_map(Pool::snapshot).collect()
    }

    /// Names of the jobs in force, in the order of the configuration.
    pub fn jobs(&self) -> Vec<String> {
        let pools = lock(&self.pools);
        pools.iter().map(|pool| pool.name().to_owned()).collect()
    }

    /// Ends discoveries and loops, within 2 s. A request that waits for its application is cut and not counted as
    /// failed; a profile that is being sent is sent.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let ended = timeout(STOP_LIMIT, self.shared.tasks.wait()).await;
        if ended.is_err() {
            let tasks = self.shared.tasks.len();
            tracing::warn!(tasks, "scraped profiles are still being sent");
        }
    }
}

impl fmt::Debug for Scraper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scraper").finish_non_exhaustive()
    }
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::from_fn(SystemTime::now)
    }

    /// A clock that shows what `now` returns.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
