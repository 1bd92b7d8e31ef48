//! What happens after a target refused the credentials of an upload: they are read again before the refusal counts.

use std::time::Duration;

use pyrotee_queue::{Part, Supervisor};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::CredentialRefresh;
use crate::failure_log::FailureLog;

/// Shortest time between two calls of a target's [`CredentialRefresh`].
const INTERVAL: Duration = Duration::from_secs(1);

/// Time limit of one call of a [`CredentialRefresh`].
const TIMEOUT: Duration = Duration::from_secs(2);

/// Calls the [`CredentialRefresh`] of one target: one call at a time, at most one every [`INTERVAL`].
#[derive(Debug)]
pub(super) struct Refresher {
    refresh: CredentialRefresh,
    /// When the last call ended. The upload that makes a call holds the lock; other uploads wait for the call.
    last: Mutex<Option<Instant>>,
}

impl Refresher {
    pub(super) fn new(refresh: CredentialRefresh) -> Self {
        Self {
            refresh,
            last: Mutex::default(),
        }
    }

    /// The same for a deliverer that follows.
    pub(super) fn again(&self) -> Self {
        Self::new(self.refresh.clone())
    }

    /// Whether another route than that of an upload is in force (`is_replaced`), after the credentials were read again if
    /// they were not within the last [`INTERVAL`]. To be called after the target refused the credentials of the upload.
    pub(super) async fn has_other_route(
        &self,
        is_replaced: impl Fn() -> bool,
        target: &str,
        log: &FailureLog,
        supervisor: &Supervisor,
    ) -> bool {
        if is_replaced() || !self.refresh.is_enabled() {
            return is_replaced();
        }
        // Waits for at most one call: after it the interval has not passed.
        let mut last = self.last.lock().await;
        if is_replaced() || last.is_some_and(|at| at.elapsed() < INTERVAL) {
            return is_replaced();
        }
        let in_time = self.call(supervisor).await;
        *last = Some(Instant::now());
        if is_replaced() {
            tracing::info!(
                target,
                "target refused credentials that have changed: retrying with the new ones"
            );
        } else if !in_time {
            log.refresh_timed_out(target, TIMEOUT);
        }
        is_replaced()
    }

    /// Calls the refresh. `false`: the call took longer than [`TIMEOUT`].
    async fn call(&self, supervisor: &Supervisor) -> bool {
        let refresh = supervisor.catch_future(Part::Deliverer, self.refresh.run());
        // A panic is counted and logged.
        timeout(TIMEOUT, refresh).await.is_ok()
    }
}
