//! A read view of one target. The scrape, the status page, the dead letters and the summary at the end of a run share
//! one [`TargetList`](crate::TargetList) of views.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_delivery::TargetMonitor;
use pyrotee_queue::{Consumer, Counts, Ledger, Limits, QueueId, Tally};

/// The settings of a target without secrets, and the handles from which its numbers are read.
#[derive(Debug)]
pub struct TargetView {
    /// The target's name, which is its identity.
    pub name: String,
    /// Identity of the target's queue.
    pub id: QueueId,
    /// Whether the target is in the configuration.
    pub membership: Membership,
    /// As written in the configuration, without userinfo.
    pub address: String,
    /// Value of `X-Scope-OrgID`; `None` if none is sent.
    pub tenant: Option<String>,
    /// Most uploads at once.
    pub workers: usize,
    /// Limits of the queue.
    pub limits: Limits,
    /// The target's account.
    pub ledger: Arc<Ledger>,
    /// The target's side of the queue.
    pub consumer: Arc<dyn Consumer>,
    /// State of the target's deliveries.
    pub monitor: TargetMonitor,
}

/// Whether a target is in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// The configuration in force has the target: records are offered to it.
    Configured,
    /// A reload removed the target: no records are offered to it, and its pending records are still delivered.
    Draining {
        /// When the target was removed.
        since: SystemTime,
        /// When the delivery ends, whatever is pending then.
        until: SystemTime,
    },
}

impl TargetView {
    /// Whether a reload removed the target.
    pub fn is_draining(&self) -> bool {
        self.draining_until().is_some()
    }

    /// When the delivery to a removed target ends; `None` if the target is configured.
    pub fn draining_until(&self) -> Option<SystemTime> {
        match self.membership {
            Membership::Configured => None,
            Membership::Draining { until, .. } => Some(until),
        }
    }

    /// A snapshot of the target's ledger.
    pub fn counts(&self) -> Counts {
        self.ledger.snapshot()
    }

    /// Deletes the queued records and returns how many profiles and bytes these were.
    pub fn purge(&self) -> Tally {
        self.consumer.purge()
    }

    /// Whether a replayed profile of `bytes` may be added: half of the queue is kept free for new profiles.
    pub fn has_room_for(&self, bytes: u64) -> bool {
        let pending = self.counts().pending;
        let records = self.limits.records as u64 / 2;
        let fits = pending.profiles < records
            && pending.bytes.saturating_add(bytes) <= self.limits.bytes / 2;
        pending.profiles == 0 || fits
    }

    /// Time since the receipt of the oldest pending profile; `None` if no profile is pending.
    pub fn oldest(&self) -> Option<Duration> {
        let oldest = self.consumer.oldest()?;
        // A wall clock may have been set back.
        Some(SystemTime::now().duration_since(oldest).unwrap_or_default())
    }
}
