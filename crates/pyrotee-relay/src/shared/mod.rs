//! The backlog that this relay shares with other relays on NATS JetStream.
//!
//! `jetstream` alone knows the backend, and exists only with the feature of this name. `former` and `drain` are about the
//! spool of an earlier configuration: its profiles are delivered before they are forgotten.

#[cfg(not(feature = "jetstream"))]
mod absent;
mod drain;
mod former;
#[cfg(feature = "jetstream")]
mod jetstream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use pyrotee_admin::SharedBacklog;

use crate::targets::Targets;
#[cfg(not(feature = "jetstream"))]
pub(crate) use absent::open;
pub(crate) use drain::SpoolDrain;
pub(crate) use former::{check as check_former, drain as drain_former};
#[cfg(feature = "jetstream")]
pub(crate) use jetstream::open;
#[cfg(feature = "jetstream")]
pub use jetstream::settings;

/// A future that is not tied to the backend's types.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The shared backlog of a running relay.
pub(crate) struct Shared {
    /// State and purge, for the admin listener and the scrape.
    pub(crate) backlog: Arc<dyn SharedBacklog>,
    pub(crate) closing: Closing,
    pub(crate) fleet: FleetTask,
}

/// Hands over what is still queued, and ends the connection.
pub(crate) struct Closing(Box<dyn FnOnce(Instant) -> Boxed<bool> + Send>);

impl Closing {
    /// Hands over within a deadline. `false`: profiles were left, and are counted as dropped.
    pub(crate) async fn close(self, until: Instant) -> bool {
        (self.0)(until).await
    }
}

/// Makes the targets of the relay heed the other relays of the fleet.
pub(crate) struct FleetTask(Box<dyn FnOnce(Arc<Targets>) -> Boxed<()> + Send>);

impl FleetTask {
    /// Tells the targets how many relays there are, and which target another relay has seen recover, until the relay
    /// stops.
    pub(crate) async fn run(self, targets: Arc<Targets>) {
        (self.0)(targets).await;
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").finish_non_exhaustive()
    }
}

impl fmt::Debug for FleetTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetTask").finish_non_exhaustive()
    }
}
