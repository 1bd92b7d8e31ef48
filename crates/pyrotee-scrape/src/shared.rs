//! What all jobs share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use pyrotee_net::Connector;
use pyrotee_queue::{Budget, Supervisor, WallClock, lock};
use pyrotee_scrape_config::{Job, Limits, Scrape};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::discovery::{Context, Discovered};
use crate::limits::{LoopLimit, Places, StateLimit};
use crate::{Parts, Sender, metrics};

/// What all jobs share.
pub(crate) struct Shared {
    pub(crate) connector: Connector,
    pub(crate) sender: Arc<dyn Sender>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) supervisor: Supervisor,
    pub(crate) own: Arc<[SocketAddr]>,
    pub(crate) clock: WallClock,
    pub(crate) places: Arc<Places>,
    pub(crate) loops: Arc<LoopLimit>,
    pub(crate) state: Arc<StateLimit>,
    /// One permit for each profile that is unpacked and compared at once: as many as there are CPUs.
    pub(crate) workers: Semaphore,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// Starts the discoveries of a job; tests have their own.
    pub(crate) discover: Discover,
    variable: Mutex<Arc<Variable>>,
}

/// Starts the discoveries of a job.
pub(crate) type Discover =
    Box<dyn Fn(&Arc<Job>, Context) -> watch::Receiver<Arc<Discovered>> + Send + Sync>;

/// What a reload can change for all jobs.
#[derive(Debug, Default)]
pub(crate) struct Variable {
    pub(crate) limits: Limits,
    /// Headers of the requests that send profiles.
    pub(crate) headers: HeaderMap,
}

impl Shared {
    pub(super) fn new(parts: Parts, discover: Discover) -> Self {
        let limits = Limits::default();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            connector: parts.connector,
            sender: parts.sender,
            budget: parts.budget,
            supervisor: parts.supervisor,
            own: parts.own.into(),
            clock: parts.clock,
            places: Places::new(limits.max_concurrent),
            loops: LoopLimit::new(limits.max_targets),
            state: StateLimit::new(limits.state_limit, metrics::state_bytes()),
            workers: Semaphore::new(cpus),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            discover,
            variable: Mutex::default(),
        }
    }

    /// Puts limits and headers in force.
    pub(super) fn apply(&self, scrape: &Scrape) {
        let limits = scrape.limits.clone();
        self.places.set_max(limits.max_concurrent);
        self.loops.set_max(limits.max_targets);
        self.state.set_limit(limits.state_limit);
        let headers = scrape.headers.clone();
        *lock(&self.variable) = Arc::new(Variable { limits, headers });
    }

    pub(crate) fn variable(&self) -> Arc<Variable> {
        Arc::clone(&lock(&self.variable))
    }
}
