//! What the targets hear from the other relays that share their backlog, and tell them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use pyrotee_queue::lock;
use tokio::sync::{Mutex, mpsc, watch};

use super::Targets;

/// Recoveries that wait to be told. Beyond them a recovery is not told, and the other relays find out by themselves.
const UNTOLD: usize = 64;

/// The relays of the fleet as the targets know it.
#[derive(Debug)]
pub(super) struct Fleet {
    /// Relays that are alive, this one included.
    pub(super) relays: AtomicU32,
    recovered: mpsc::Sender<Arc<str>>,
    /// The targets that have recovered, in that order.
    untold: Mutex<mpsc::Receiver<Arc<str>>>,
}

impl Default for Fleet {
    fn default() -> Self {
        let (recovered, untold) = mpsc::channel(UNTOLD);
        Self {
            relays: AtomicU32::new(1),
            recovered,
            untold: Mutex::new(untold),
        }
    }
}

impl Fleet {
    /// Notes each recovery of the target `name`, of which `recoveries` has the number. Never resolves.
    pub(super) fn note(
        &self,
        name: &str,
        mut recoveries: watch::Receiver<u64>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (name, recovered) = (Arc::<str>::from(name), self.recovered.clone());
        recoveries.mark_unchanged();
        async move {
            while recoveries.changed().await.is_ok() {
                // What does not fit is not told.
                recovered.try_send(Arc::clone(&name)).ok();
            }
            std::future::pending().await
        }
    }
}

// Only a relay that shares a backlog hears from others.
#[cfg_attr(
    not(feature = "jetstream"),
    expect(dead_code, reason = "only the feature `jetstream` has other relays")
)]
impl Targets {
    /// Sets how many relays share the backlog of the targets, this one included, for present and future targets.
    pub(crate) fn set_relays(&self, relays: u32) {
        // With the lock held, so that no target begins between the two.
        let delivered = lock(&self.delivered);
        self.fleet.relays.store(relays, Relaxed);
        for target in delivered.all() {
            target.handle().set_relays(relays);
        }
    }

    /// Probes a target soon if it is down: another relay has found that it works. No effect if this relay does not have the
    /// target.
    pub(crate) fn probe_soon(&self, name: &str) {
        if let Some(target) = lock(&self.delivered).get_mut(name) {
            target.handle().probe_soon();
        }
    }

    /// Waits until an outage of a target has ended, and returns the name of the target. No recovery is lost if the future is
    /// dropped.
    pub(crate) async fn recovered(&self) -> Arc<str> {
        match self.fleet.untold.lock().await.recv().await {
            Some(name) => name,
            // The targets have the sender.
            None => std::future::pending().await,
        }
    }
}
