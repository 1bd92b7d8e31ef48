//! Pull mode in the relay: the scraper, the way of its profiles into the proxy, and its jobs' names.

mod jobs;
mod sender;
mod shown;

use std::net::SocketAddr;
use std::sync::Arc;

use pyrotee_config::Config;
use pyrotee_net::Connector;
use pyrotee_proxy::Entrance;
use pyrotee_queue::{Budget, Supervisor, WallClock};
use pyrotee_scrape::{Parts, Scraper};

pub(crate) use jobs::JobNames;
use sender::ProxySender;

/// Pull mode. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Scraping {
    scraper: Scraper,
    names: JobNames,
}

impl Scraping {
    /// Starts without jobs. `own`: the listeners of the relay.
    pub(crate) fn start(
        connector: Connector,
        entrance: Entrance,
        budget: &Arc<Budget>,
        supervisor: &Supervisor,
        own: Vec<SocketAddr>,
    ) -> Self {
        let parts = Parts {
            connector,
            sender: Arc::new(ProxySender::new(entrance)),
            budget: Arc::clone(budget),
            supervisor: supervisor.clone(),
            own,
            clock: WallClock::system(),
        };
        Self {
            scraper: Scraper::start(parts),
            names: JobNames::default(),
        }
    }

    /// Puts the jobs of a configuration in force.
    pub(crate) fn apply(&self, config: &Config) {
        self.scraper.apply(&config.scrape);
        self.names.set(&self.scraper.jobs());
    }

    /// Ends all jobs, so that what is being sent is sent. Bounded: see [`Scraper::stop`].
    pub(crate) async fn stop(&self) {
        self.scraper.stop().await;
    }

    /// The names of the jobs, for the scrape of metrics.
    pub(crate) fn names(&self) -> JobNames {
        self.names.clone()
    }
}
