//! Closes the backend when the relay stops.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::Reason;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::backend::Backend;
use crate::target::Phase;

/// Longest time for the tasks to end once all is handed over, or the time is up.
const TO_END: Duration = Duration::from_secs(1);

/// Closes the backend. While it exists, an end of the delivery drops no record: the closer hands them over.
pub struct Closer {
    pub(crate) backend: Arc<Backend>,
    pub(crate) link_tasks: TaskTracker,
    pub(crate) link_stop: CancellationToken,
    /// Tells the backend that it will be closed.
    pub(crate) _exists: Arc<()>,
}

impl Closer {
    /// Hands over what is still queued, gives received records back, and ends the connection. To be called when all
    /// deliverers have ended. What is not handed over at `until` is dropped, as [`Reason::Shutdown`]. `false`: records
    /// were dropped.
    pub async fn close(self, until: Instant) -> bool {
        let backend = &self.backend;
        let before = dropped(backend);
        let targets = backend.targets();
        for target in &targets {
            target.queue.close(Reason::Shutdown);
            target.enter(Phase::Finishing);
        }
        for task in targets.iter().flat_map(|target| target.take_tasks()) {
            if timeout_at(until, task).await.is_err() {
                break;
            }
        }
        for target in &targets {
            target.queue.abandon(Reason::Shutdown);
        }
        if let Some(session) = backend.parts.link.session() {
            // Answers to the broker are sent without being awaited.
            let _flushed = timeout(TO_END, session.client.flush()).await;
        }
        // What is still being published goes back to its queue, and is dropped there.
        backend.stop.cancel();
        backend.tasks.close();
        let _ended = timeout(TO_END, backend.tasks.wait()).await;
        // Only now: the fleet is told that this relay leaves.
        self.link_stop.cancel();
        self.link_tasks.close();
        let _ended = timeout(TO_END, self.link_tasks.wait()).await;
        let left = dropped(backend).saturating_sub(before);
        if left > 0 {
            warn!(
                left,
                remedy = Reason::Shutdown.remedy(),
                "profiles were not handed over to the shared backlog in time, and are dropped"
            );
        }
        left == 0
    }
}

/// Records of all targets that were dropped because the relay stops.
fn dropped(backend: &Backend) -> u64 {
    let targets = backend.targets();
    let counts = targets.iter().map(|it| it.queue.ledger().snapshot());
    counts.map(|it| it.dropped(Reason::Shutdown).profiles).sum()
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").finish_non_exhaustive()
    }
}
