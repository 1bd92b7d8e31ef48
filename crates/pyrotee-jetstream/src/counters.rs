//! What the tasks of a target count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters of one target.
#[derive(Debug, Default)]
pub(crate) struct TargetCounters {
    pub(crate) published: Counter,
    pub(crate) published_bytes: Counter,
    pub(crate) publish_failures: Counter,
    pub(crate) full: Counter,
    pub(crate) oversized: Counter,
    pub(crate) possibly_doubled: Counter,
    pub(crate) redelivered: Counter,
    pub(crate) mismatched: Counter,
    pub(crate) corrupt: Counter,
    pub(crate) unknown_version: Counter,
    pub(crate) orphans: Counter,
    pub(crate) expired: Counter,
    pub(crate) purged: Counter,
}
