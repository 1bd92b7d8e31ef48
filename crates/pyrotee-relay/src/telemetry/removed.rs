//! The series of targets that were removed from the configuration and have records in the spool.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use metrics::{Gauge, gauge};
use pyrotee_queue::lock;
use pyrotee_spool::Monitor;
use tokio::time::Instant;

use super::account::{AccountSeries, REMOVED, TARGET_STATE};
use crate::targets::SHOWN_FOR;

/// The account of each removed target, and its state.
#[derive(Debug)]
pub(super) struct RemovedSeries {
    monitor: Monitor,
    /// By the name of the target.
    targets: Mutex<BTreeMap<String, RemovedTargetSeries>>,
}

/// The names of the removed targets that had records at some time.
#[derive(Debug, Default)]
pub(super) struct RemovedNames {
    /// Those that have records, or had some within [`SHOWN_FOR`].
    pub(super) shown: BTreeSet<String>,
    pub(super) hidden: BTreeSet<String>,
}

#[derive(Debug)]
struct RemovedTargetSeries {
    account: AccountSeries,
    state: Gauge,
    /// When the target last had records.
    last_seen: Instant,
}

impl RemovedSeries {
    pub(super) fn new(monitor: Monitor) -> Self {
        Self {
            monitor,
            targets: Mutex::default(),
        }
    }

    /// Copies the accounts into their series.
    pub(super) fn update(&self) -> RemovedNames {
        let mut targets = lock(&self.targets);
        let removed = self.monitor.removed();
        let is_removed = |name: &String| removed.iter().any(|target| target.name == *name);
        // Targets that came back are shown as targets of the configuration.
        for (_, series) in targets.iter().filter(|(name, _)| !is_removed(name)) {
            series.state.set(0);
        }
        let mut names = RemovedNames::default();
        for target in removed {
            let has_records = target.has_records();
            let series = targets.entry(target.name.clone());
            let series = series.or_insert_with_key(|name| RemovedTargetSeries {
                account: AccountSeries::new(name, false),
                state: gauge!(TARGET_STATE, "target" => name.clone(), "state" => REMOVED),
                last_seen: Instant::now(),
            });
            series.account.update(&target.counts);
            series.state.set(f64::from(u8::from(has_records)));
            if has_records {
                series.last_seen = Instant::now();
            }
            match series.last_seen.elapsed() < SHOWN_FOR {
                true => names.shown.insert(target.name),
                false => names.hidden.insert(target.name),
            };
        }
        names
    }
}
