//! Changes a shared backlog at an operator's request.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{Reason, Tally};
use tokio::time::timeout;

use crate::backend::Backend;
use crate::target::{Phase, Target};

/// Longest time of one operation.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an operation on a shared backlog failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No target of this name shares its backlog.
    #[error("no target {0} shares its backlog")]
    Unknown(String),
    /// NATS is not connected, or the stream cannot be used.
    #[error("the stream of {0} cannot be reached now: see the status of the shared backlog")]
    NotReady(String),
    /// The broker refused.
    #[error("the broker failed to purge the stream: {0}")]
    Broker(String),
    /// The broker did not answer in time.
    #[error("the broker does not answer in time: whether it purged the stream is unknown")]
    Timeout,
}

/// Changes the streams of the targets.
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) backend: Arc<Backend>,
}

impl Control {
    /// Drops the records that the stream of `target` holds, for all relays, as [`Reason::Admin`], and returns their number
    /// and roughly their bytes. Those that this relay has received and not leased are included. Records in memory are not
    /// dropped: that is [`Consumer::purge`], which comes first.
    ///
    /// [`Consumer::purge`]: pyrotee_queue::Consumer::purge
    ///
    /// # Errors
    /// The target does not share its backlog, or its stream cannot be reached or purged.
    pub async fn purge(&self, target: &str) -> Result<Tally, ControlError> {
        let unknown = || ControlError::Unknown(target.to_owned());
        let target = self.backend.target(target).ok_or_else(unknown)?;
        let _closed = ClosedGuard::new(&target);
        let purged = timeout(PATIENCE, purge(&target)).await;
        purged.map_err(|_| ControlError::Timeout)?
    }
}

/// While it exists, a target receives nothing, so that nothing is counted twice.
struct ClosedGuard<'a>(&'a Target);

impl<'a> ClosedGuard<'a> {
    fn new(target: &'a Target) -> Self {
        target.shelf.close();
        Self(target)
    }
}

impl Drop for ClosedGuard<'_> {
    fn drop(&mut self) {
        if self.0.phase() == Phase::InForce {
            self.0.shelf.open();
        }
    }
}

async fn purge(target: &Target) -> Result<Tally, ControlError> {
    let not_ready = || ControlError::NotReady(target.name.clone());
    let session = target.session().ok_or_else(not_ready)?;
    let mut all = target.lose_buffered(Reason::Admin, |_| true);
    // What was received is counted already: its answers must come before.
    for answer in target.shelf.take_answers() {
        let sent = session.client.publish(answer.reply, answer.content).await;
        sent.map_err(|error| broker(&error))?;
    }
    session
        .client
        .flush()
        .await
        .map_err(|error| broker(&error))?;
    let stream = session.jetstream.get_stream_no_info(&target.stream).await;
    let stream = stream.map_err(|error| broker(&error))?;
    let state = stream
        .get_info()
        .await
        .map_err(|error| broker(&error))?
        .state;
    let profiles = stream.purge().await.map_err(|error| broker(&error))?.purged;
    let counted = target.count_removed(profiles, &state, u64::MAX, Reason::Admin);
    target.count(|it| it.purged += counted.profiles);
    all += counted;
    Ok(all)
}

fn broker(error: &dyn Error) -> ControlError {
    ControlError::Broker(error.to_string())
}
