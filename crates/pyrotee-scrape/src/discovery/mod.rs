//! Finds the scrape targets of a job.

use std::net::SocketAddr;
use std::sync::Arc;

use pyrotee_net::Connector;
use pyrotee_queue::Supervisor;
use pyrotee_scrape_config::Job;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Clock;
use crate::target::{DroppedTarget, ScrapeTarget};

/// The scrape targets of a job at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Discovered {
    pub(crate) targets: Vec<ScrapeTarget>,
    pub(crate) dropped: Vec<DroppedTarget>,
    /// Whether each discovery of the job has found something or failed once. Until then a scrape target that is
    /// missing keeps its loop.
    pub(crate) is_complete: bool,
}

/// What the discoveries of a job share with the rest.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) connector: Connector,
    /// The relay's own listeners.
    pub(crate) own: Arc<[SocketAddr]>,
    /// `max-targets`.
    pub(crate) max_targets: usize,
    /// Ends the discoveries.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) supervisor: Supervisor,
    pub(crate) clock: Clock,
}

/// Starts the discoveries of a job. They end with `context.stop`.
pub(crate) fn start(job: &Arc<Job>, context: Context) -> watch::Receiver<Arc<Discovered>> {
    // Until the discoveries are built.
    drop((Arc::clone(job), context));
    watch::channel(Arc::default()).1
}

/// The connector for addresses that were discovered: it refuses loopback, link-local and own addresses.
pub(crate) fn guarded(connector: &Connector, own: &Arc<[SocketAddr]>) -> Connector {
    // Until the connector can refuse.
    drop(Arc::clone(own));
    connector.clone()
}
