//! Finds the scrape targets of a job.
//!
//! Each entry of `file-sd-configs` and `http-sd-configs` is a *source* with a task of its own, so that a source that hangs
//! delays no other. A source that fails keeps what it found before. [`run`] collects what the sources find, and hands
//! changes on, at most one in 5 s.
//!
//! Invariants:
//!
//! - What somebody else writes is bounded: the length of a document, the labels of a group, the addresses of a job.
//! - Files are read on threads of their own, one for each source, with a time limit.
//! - An address that a source found leads to no loopback, link-local or own address: see [`guarded`].

mod collection;
mod document;
mod files;
mod mechanism;
mod metrics;
mod refusal;
mod run;
mod sources;

use std::net::SocketAddr;
use std::sync::Arc;

use pyrotee_net::Connector;
use pyrotee_queue::{Supervisor, WallClock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::target::{DroppedTarget, ScrapeTarget};

pub(crate) use metrics::describe;
pub(crate) use refusal::guarded;
pub(crate) use run::start;

/// The scrape targets of a job at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Discovered {
    /// Each differs from the others in labels, URL or profile.
    pub(crate) targets: Vec<ScrapeTarget>,
    /// Addresses that are not scraped, and sources that failed the last time.
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
    pub(crate) clock: WallClock,
}
