//! What is measured in a run.

use std::{collections::BTreeMap, time::Duration};

use super::{MIB, Setup, applications::Applications, lateness::Lateness, pyroscope::Pyroscope};
use crate::support::{Ledger, Metrics, Relay};

const SCRAPES: &str = "pyroscope_scrape_target_pool_scrapes_total";
const LOOPS: &str = "pyroscope_scrape_target_pool_targets";
const SKIPPED: &str = "pyroscope_relay_scrape_skipped_total";
const FAILURES: &str = "pyroscope_relay_scrape_failures_total";
const STATE: &str = "pyroscope_relay_scrape_state_bytes";

/// Skips of a scrape that was made. The other reasons count times without a scrape; `reset` counts beside a profile.
const SKIPS_OF_SCRAPES: [&str; 4] = ["first", "empty", "state", "budget"];

/// The figures of a run: at the end of the load, and when the relay has come to rest.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) setup: Setup,
    pub(crate) loops: f64,
    pub(crate) scrapes: f64,
    pub(crate) arrived: usize,
    /// Mean length of the body of a profile that was sent, in bytes.
    pub(crate) mean_body: usize,
    /// Skipped and failed scrapes by reason, without reasons that did not occur.
    pub(crate) skipped: BTreeMap<String, f64>,
    pub(crate) failures: BTreeMap<String, f64>,
    /// CPU time of the relay.
    pub(crate) cpu: Duration,
    /// Most resident memory and memory of the baselines, in bytes.
    pub(crate) resident: u64,
    pub(crate) state: f64,
    pub(crate) lateness: Lateness,
    pub(crate) rest: Option<Rest>,
    /// Most resident memory until the end, in bytes.
    pub(crate) resident_at_end: u64,
    /// Profiles that arrived more than once at the upstream or the target.
    pub(crate) repeated: usize,
}

/// The accounts after the load.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Scrapes without an outcome, and requests that applications have not answered.
    pub(crate) unresolved: f64,
    pub(crate) open: usize,
    pub(crate) ledger: Ledger,
    /// Number of profiles that arrived.
    pub(crate) upstream: usize,
    pub(crate) target: usize,
}

impl Figures {
    /// The figures of the load.
    pub(crate) fn take(
        setup: Setup,
        relay: &Relay,
        applications: &Applications,
        upstream: &Pyroscope,
    ) -> Self {
        let (metrics, cpu) = (relay.metrics(), relay.cpu_time());
        let (arrived, mut scrapes) = (upstream.state(), applications.scrapes());
        scrapes.retain(|scrape| !applications.hanging.contains(&scrape.address));
        Self {
            setup,
            loops: metrics.sum(LOOPS, &[]),
            scrapes: metrics.sum(SCRAPES, &[]),
            arrived: arrived.arrived,
            mean_body: arrived.bytes / arrived.arrived.max(1),
            skipped: by_reason(&metrics, SKIPPED),
            failures: by_reason(&metrics, FAILURES),
            cpu,
            resident: relay.rss_peak(),
            state: metrics.sum(STATE, &[]),
            lateness: Lateness::of(&scrapes, &arrived),
            rest: None,
            resident_at_end: 0,
            repeated: 0,
        }
    }

    /// The bound of docs/scaling.md for the memory of a relay, with `state-limit`, and with a connection and a task for
    /// each loop, in bytes.
    pub(crate) fn bound(&self) -> f64 {
        let limits = (self.setup.memory_limit + self.setup.state_limit) * MIB;
        16.0 * MIB as f64 + 1.15 * limits as f64 + 32.0 * 1024.0 * self.loops
    }
}

impl Rest {
    /// The accounts now. While profiles are on their way, they disagree.
    pub(crate) fn take(
        relay: &Relay,
        applications: &Applications,
        upstream: &Pyroscope,
        target: &Pyroscope,
    ) -> Self {
        let metrics = relay.metrics();
        let upstream = upstream.arrived();
        let skipped = |reason: &str| metrics.sum(SKIPPED, &[("reason", reason)]);
        let skipped: f64 = SKIPS_OF_SCRAPES.into_iter().map(skipped).sum();
        let ended = upstream as f64 + skipped + metrics.sum(FAILURES, &[]);
        Self {
            unresolved: metrics.sum(SCRAPES, &[]) - ended,
            open: applications.open(),
            ledger: metrics.ledger("central"),
            upstream,
            target: target.arrived(),
        }
    }

    /// Whether every scrape was sent, skipped, failed, or waits for its application, and every profile that was sent
    /// has reached the target.
    pub(crate) fn balances(&self) -> bool {
        let Ledger { accepted, sent, .. } = &self.ledger;
        let counts = [accepted, sent].map(|it| usize::try_from(it.profiles));
        self.unresolved == self.open as f64
            && self.target == self.upstream
            && counts == [Ok(self.upstream); 2]
            && self.ledger.balances()
    }
}

fn by_reason(metrics: &Metrics, name: &str) -> BTreeMap<String, f64> {
    let labels = metrics.labels(name).into_iter();
    let reasons = labels.filter_map(|labels| labels.get("reason").cloned());
    reasons
        .map(|reason| {
            let times = metrics.sum(name, &[("reason", &reason)]);
            (reason, times)
        })
        .filter(|(_, times)| *times > 0.0)
        .collect()
}
