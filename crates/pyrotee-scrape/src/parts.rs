//! What a scraper works with.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use pyrotee_net::Connector;
use pyrotee_queue::{Budget, Supervisor, WallClock};

use crate::Sender;

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
    pub clock: WallClock,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
