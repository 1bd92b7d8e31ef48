//! Collects the status of a target for the status page.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use pyroscope_wire::Surface;
use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::lock;
use tokio::sync::watch;

use crate::outcome::Outcome;
use crate::route::Route;
use crate::status::{LastError, SuspendedSurface, TargetStatus};

/// Shows the status of a target while its deliverer runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TargetMonitor {
    routes: watch::Receiver<Arc<Route>>,
    summary: SharedSummary,
}

impl TargetMonitor {
    pub(crate) fn new(routes: watch::Receiver<Arc<Route>>, summary: SharedSummary) -> Self {
        Self { routes, summary }
    }

    /// The status of the target at this instant.
    pub fn status(&self) -> TargetStatus {
        let route = Arc::clone(&self.routes.borrow());
        let flow = route.flow.snapshot();
        let summary = lock(&self.summary).clone();
        let suspended = flow.suspended.into_iter();
        TargetStatus {
            state: flow.state,
            next_try: flow.next_try,
            suspended: suspended
                .filter_map(|(surface, next_try)| {
                    let surface = Surface::from_id(surface.0)?;
                    Some(SuspendedSurface { surface, next_try })
                })
                .collect(),
            last_success: summary.last_success,
            last_error: summary.last_error,
            certificate_expiry: route.client.endpoint().certificate_expiry(),
            attempts: summary.attempts,
            in_flight: flow.in_flight,
            limit: flow.limit,
            at_ceiling: flow.at_ceiling,
            workers: route.settings.workers,
        }
    }
}

/// The summary of one target, shared by its uploader and its monitors.
pub(crate) type SharedSummary = Arc<Mutex<UploadSummary>>;

/// The last success, the last error and the number of one target's uploads.
#[derive(Debug, Clone, Default)]
pub(crate) struct UploadSummary {
    last_success: Option<SystemTime>,
    last_error: Option<LastError>,
    attempts: u64,
}

impl UploadSummary {
    /// Adds the outcome of an upload that ended at `at`.
    pub(crate) fn add(&mut self, outcome: &Outcome, at: SystemTime) {
        if outcome.meaning.is_ok() {
            self.attempts += 1;
        }
        if outcome.meaning == Ok(Meaning::Taken) {
            self.last_success = Some(at);
            return;
        }
        self.last_error = Some(LastError {
            at,
            outcome: outcome.as_str(),
            status: outcome.status_code(),
            text: outcome.text.clone(),
            remedy: outcome.remedy(),
        });
    }
}
