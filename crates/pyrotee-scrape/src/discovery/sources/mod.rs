//! The sources of a job: what they ask, and how often.

mod file;
mod http;

use std::sync::Arc;

use pyroscope_wire::scrape::Group;
use pyrotee_queue::WallClock;
use tokio::sync::mpsc;

use super::metrics::MechanismMetrics;

pub(super) use file::FileSource;
pub(super) use http::HttpSource;

/// What a source found out.
#[derive(Debug)]
pub(super) struct Update {
    /// Number of the source.
    pub(super) source: usize,
    /// The groups that it has now; `None`: those of the update before.
    pub(super) groups: Option<Vec<Group>>,
    /// Why it could not be read, or not as a whole.
    pub(super) error: Option<String>,
}

/// Counts, logs and hands on what one source finds.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    pub(super) job: Arc<str>,
    pub(super) source: usize,
    pub(super) updates: mpsc::Sender<Update>,
    pub(super) metrics: MechanismMetrics,
    pub(super) clock: WallClock,
    /// The error before.
    pub(super) last_error: Option<String>,
}

impl Reporter {
    /// Counts and logs the result of an attempt, and hands it on. `failures`: how many attempts failed. Waits while the
    /// update before is not taken.
    pub(super) async fn report(
        &mut self,
        groups: Option<Vec<Group>>,
        error: Option<String>,
        failures: u64,
    ) {
        self.metrics.errors.increment(failures);
        if error.is_none() {
            self.metrics.succeeded(self.clock.now());
        }
        if error != self.last_error {
            let job = &*self.job;
            match &error {
                Some(error) => tracing::warn!(job, error, "discovery of scrape targets failed"),
                None => tracing::info!(job, "discovery of scrape targets works again"),
            }
            self.last_error.clone_from(&error);
        }
        let update = Update {
            source: self.source,
            groups,
            error,
        };
        // Nobody receives updates while the job ends.
        let _result_or_nobody_waits = self.updates.send(update).await;
    }
}
