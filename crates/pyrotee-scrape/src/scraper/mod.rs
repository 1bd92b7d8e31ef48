//! All jobs together.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_net::Connector;
use pyrotee_queue::{Budget, Supervisor};
use pyrotee_scrape_config::Scrape;

use crate::{Sender, TargetStatus};

/// Runs the jobs of `scrape-configs`. Clones are the same scraper.
#[derive(Debug, Clone)]
pub struct Scraper(Arc<()>);

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
    /// Starts without jobs, in the current runtime.
    pub fn start(parts: Parts) -> Self {
        drop(parts);
        Self(Arc::default())
    }

    /// Puts a configuration in force. A job that is equal, or differs only in its scrape targets and in how they are
    /// asked, keeps its loops and baselines; any other job starts anew, and the loops of a removed job end.
    pub fn apply(&self, scrape: &Scrape) {
        drop(scrape.clone());
    }

    /// All scrape targets by job, dropped ones included.
    pub fn snapshot(&self) -> Vec<TargetStatus> {
        Vec::new()
    }

    /// Names of the jobs in force, in the order of the configuration.
    pub fn jobs(&self) -> Vec<String> {
        Vec::new()
    }

    /// Ends discoveries and loops, within 2 s. A request that waits for its application is cut and not counted as
    /// failed; a profile that is being sent is sent.
    pub async fn stop(&self) {}
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
