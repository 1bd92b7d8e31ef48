//! The series of targets that were removed from the configuration and have records in the spool.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use metrics::{Gauge, gauge};
use pyrotee_queue::lock;
use pyrotee_spool::Monitor;

use super::account::{AccountSeries, TARGET_STATE};

/// The account of each removed target, and its state. The series of a target that has nothing left stay until the
/// process ends, so that a scrape sees the final counts.
#[derive(Debug)]
pub(super) struct RemovedSeries {
    monitor: Monitor,
    /// By the name of the target.
    targets: Mutex<BTreeMap<String, (AccountSeries, Gauge)>>,
}

impl RemovedSeries {
    pub(super) fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            targets: Mutex::default(),
        }
    }

    pub(super) fn update(&self) {
        let mut targets = lock(&self.targets);
        for target in self.monitor.removed() {
            let has_records = target.has_records();
            let series = targets.entry(target.name);
            let (account, state) = series.or_insert_with_key(|name| {
                let state = gauge!(TARGET_STATE, "target" => name.clone(), "state" => "removed");
                (AccountSeries::new(name), state)
            });
            account.update(&target.counts);
            state.set(f64::from(u8::from(has_records)));
        }
    }
}
