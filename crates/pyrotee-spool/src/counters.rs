//! What the spool counts for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters and gauges that no lock covers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) written: Count,
    pub(crate) body: Count,
    pub(crate) read: Count,
    pub(crate) corrupt_records: Count,
    pub(crate) corrupt_stretches: Count,
    pub(crate) quarantined: Count,
    pub(crate) quarantined_bytes: Count,
    pub(crate) recovered: Count,
    pub(crate) redelivered: Count,
    pub(crate) evicted_segments: Count,
    pub(crate) orphans_dropped: Count,
    pub(crate) free: Count,
    pub(crate) memory_only: Count,
    pub(crate) troubles: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn sub(&self, less: u64) {
        let sub = |value: u64| Some(value.saturating_sub(less));
        self.0.fetch_update(Relaxed, Relaxed, sub).ok();
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
