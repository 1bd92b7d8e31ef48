//! What telemetry reads of one target. The one list of these serves the scrape, the status page and
//! the words at the end of a run.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_delivery::{Deliverer, TargetMonitor};
use pyrotee_net::ConnectionCounts;
use pyrotee_queue::{Consumer, Counts, Ledger, Limits, Tally};

use crate::config;

/// A target as seen from outside: its settings without secrets, and where its numbers are.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Its name.
    pub(crate) name: String,
    /// As it stands in the configuration, without userinfo.
    pub(crate) address: String,
    pub(super) tenant: Option<String>,
    pub(super) workers: usize,
    pub(super) queue: Limits,
    pub(super) connections: ConnectionCounts,
    ledger: Arc<Ledger>,
    consumer: Arc<dyn Consumer>,
    /// What its deliverer knows.
    pub(crate) monitor: TargetMonitor,
}

impl Watched {
    pub(crate) fn new(
        configured: &config::Target,
        ledger: Arc<Ledger>,
        consumer: Arc<dyn Consumer>,
        running: &Deliverer,
    ) -> Self {
        let config::Target { upload, queue } = configured;
        Self {
            name: upload.name.clone(),
            address: upload.address.to_string(),
            tenant: upload.tenant.clone(),
            workers: upload.workers,
            queue: *queue,
            connections: running.connections().clone(),
            ledger,
            consumer,
            monitor: running.monitor(),
        }
    }

    /// Its account.
    pub(crate) fn counts(&self) -> Counts {
        self.ledger.snapshot()
    }

    /// Loses what waits for it; how much that was.
    pub(crate) fn purge(&self) -> Tally {
        self.consumer.purge()
    }

    /// Whether a profile of `bytes` that is not new may be added: half of the queue is for fresh ones.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        let pending = self.counts().pending;
        let records = self.queue.records as u64 / 2;
        let fits = pending.profiles < records
            && pending.bytes.saturating_add(bytes) <= self.queue.bytes / 2;
        pending.profiles == 0 || fits
    }

    /// Since the receipt of the oldest pending profile; `None` if none is pending.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        let oldest = self.consumer.oldest()?;
        // A wall clock may have been set back.
        Some(SystemTime::now().duration_since(oldest).unwrap_or_default())
    }
}
