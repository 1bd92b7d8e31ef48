//! The counters and gauges that a `Monitor` reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters and gauges of a spool that need no lock.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) written: Counter,
    pub(crate) body: Counter,
    pub(crate) read: Counter,
    pub(crate) corrupt_records: Counter,
    pub(crate) corrupt_stretches: Counter,
    pub(crate) quarantined: Counter,
    pub(crate) quarantined_bytes: Counter,
    pub(crate) recovered: Counter,
    pub(crate) redelivered: Counter,
    pub(crate) evicted_segments: Counter,
    /// Records that are written and not committed yet.
    pub(crate) uncommitted: Counter,
    pub(crate) free: Counter,
    pub(crate) memory_only: Counter,
    pub(crate) troubles: Counter,
    /// Segments that could not be read at the start, and have not been read since.
    pub(crate) unread_segments: Counter,
}

/// One counter or gauge.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
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
