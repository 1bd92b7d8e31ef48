//! All jobs together.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::lock;
use pyrotee_scrape_config::Scrape;
use tokio::time::timeout;

use crate::pool::Pool;
use crate::shared::{Discover, Shared};
use crate::{Parts, TargetStatus, discovery};

/// Time limit of [`Scraper::stop`].
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Runs the jobs of `scrape-configs`. Clones are the same scraper.
#[derive(Clone)]
pub struct Scraper {
    shared: Arc<Shared>,
    /// In the order of the configuration.
    pools: Arc<Mutex<Vec<Pool>>>,
}

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
