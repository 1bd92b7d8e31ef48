//! `state-limit`: the memory of the baselines of all loops.
//!
//! A loop that has a baseline keeps it, and a new loop gets none at the limit: otherwise each loop would lose its
//! baseline before its second profile, and no delta would ever be sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::Gauge;

/// Memory of a loop's baseline beside its values, in bytes.
const OVERHEAD: u64 = 256;

/// The memory of all baselines.
#[derive(Debug)]
pub(crate) struct StateLimit {
    limit: AtomicU64,
    used: AtomicU64,
    gauge: Gauge,
}

/// The memory of one loop's baseline. Dropping it returns the memory.
#[derive(Debug)]
pub(crate) struct StateShare {
    limit: Arc<StateLimit>,
    /// 0: the loop has no baseline.
    bytes: u64,
}

impl StateLimit {
    pub(crate) fn new(limit: u64, gauge: Gauge) -> Arc<Self> {
        gauge.set(0.0);
        Arc::new(Self {
            limit: AtomicU64::new(limit),
            used: AtomicU64::new(0),
            gauge,
        })
    }

    /// Changes the limit. Baselines beyond a smaller limit stay until they grow.
    pub(crate) fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Relaxed);
    }

    /// The share of a loop without a baseline.
    pub(crate) fn share(self: &Arc<Self>) -> StateShare {
        StateShare {
            limit: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl StateShare {
    /// Charges a baseline of `bytes`. `false`: the limit has no room, and nothing changed.
    ///
    /// A new baseline must leave an eighth of the limit free, in which the others can grow.
    pub(crate) fn resize(&mut self, bytes: u64) -> bool {
        let bytes = bytes.saturating_add(OVERHEAD);
        if let Some(more) = bytes.checked_sub(self.bytes) {
            let limit = self.limit.limit.load(Relaxed);
            let most = if self.bytes == 0 {
                limit - limit / 8
            } else {
                limit
            };
            let grown = self.limit.used.fetch_update(Relaxed, Relaxed, |used| {
                let grown = used.checked_add(more)?;
                (more == 0 || grown <= most).then_some(grown)
            });
            if grown.is_err() {
                return false;
            }
        } else {
            self.limit.used.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.show(bytes);
        true
    }

    /// Returns all memory.
    pub(crate) fn clear(&mut self) {
        self.limit.used.fetch_sub(self.bytes, Relaxed);
        self.show(0);
    }

    fn show(&mut self, bytes: u64) {
        self.limit.gauge.increment(bytes as f64 - self.bytes as f64);
        self.bytes = bytes;
    }
}

impl Drop for StateShare {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_may_grow_where_a_new_one_has_no_room() {
        let limit = StateLimit::new(8_000, Gauge::noop());
        let mut old = limit.share();
        assert!(old.resize(6_000));
        let mut new = limit.share();
        assert!(!new.resize(700), "an eighth is left for growth");
        assert!(old.resize(7_700));
        assert!(!old.resize(7_800));
        limit.set_limit(100);
        assert!(old.resize(7_700), "it has its memory");
        assert!(old.resize(10));
        assert_eq!(limit.used.load(Relaxed), 10 + OVERHEAD);
        drop((old, new));
        assert_eq!(limit.used.load(Relaxed), 0);
    }
}
