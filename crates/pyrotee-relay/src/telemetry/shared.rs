//! The series of the shared backlog, read at each scrape. They exist only if the relay shares a backlog.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{Gauge, Unit, describe_gauge, gauge};
use pyrotee_admin::SharedBacklog;
use pyrotee_admin::json::shared::{READY, SharedJson, SharedTargetJson};
use pyrotee_queue::lock;

use super::series::{self, Row, Series};

const OLDEST: &str = "pyroscope_remote_write_shared_oldest_seconds";

/// Series of the relay.
const GAUGES: [Row<SharedJson>; 2] = [
    (
        "pyroscope_remote_write_shared_connected",
        "1 while the relay is connected to NATS.",
        |shared| u64::from(shared.connected),
    ),
    (
        "pyroscope_remote_write_shared_relays",
        "Relays that share the backlog and are alive, this one included.",
        |shared| shared.relays,
    ),
];

const COUNTERS: [Row<SharedJson>; 2] = [
    (
        "pyroscope_remote_write_shared_connects_total",
        "Connections made to NATS.",
        |shared| shared.connects,
    ),
    (
        "pyroscope_remote_write_shared_connection_errors_total",
        "Errors of connections to NATS, those of attempts included.",
        |shared| shared.errors,
    ),
];

/// Series of one target.
const TARGET_GAUGES: [Row<SharedTargetJson>; 6] = [
    (
        "pyroscope_remote_write_shared_waiting_profiles",
        "Profiles in the target's stream; the same from every relay.",
        |target| target.waiting,
    ),
    (
        "pyroscope_remote_write_shared_bytes",
        "Bytes of the target's stream; the same from every relay.",
        |target| target.bytes,
    ),
    (
        "pyroscope_remote_write_shared_max_bytes",
        "Maximum bytes of the target's stream.",
        |target| target.max_bytes,
    ),
    (
        "pyroscope_remote_write_shared_publishing",
        "Profiles sent to NATS that it has not acknowledged.",
        |target| target.publishing,
    ),
    (
        "pyroscope_remote_write_shared_leased",
        "Profiles of the stream that this relay holds.",
        |target| target.leased.saturating_add(target.buffered),
    ),
    (
        "pyroscope_remote_write_shared_usable",
        "1 while the target's stream can be used.",
        |target| u64::from(target.state == READY),
    ),
];

const TARGET_COUNTERS: [Row<SharedTargetJson>; 9] = [
    (
        "pyroscope_remote_write_shared_published_total",
        "Profiles that NATS acknowledged.",
        |target| target.counters.published,
    ),
    (
        "pyroscope_remote_write_shared_publish_failures_total",
        "Attempts to hand a profile over that NATS did not acknowledge.",
        |target| target.counters.publish_failures,
    ),
    (
        "pyroscope_remote_write_shared_full_total",
        "Attempts that NATS refused because the stream was full.",
        |target| target.counters.full,
    ),
    (
        "pyroscope_remote_write_shared_oversized_total",
        "Profiles that are too long for NATS and stay in memory.",
        |target| target.counters.oversized,
    ),
    (
        "pyroscope_remote_write_shared_possibly_doubled_total",
        "Profiles that may be in the stream twice.",
        |target| target.counters.possibly_doubled,
    ),
    (
        "pyroscope_remote_write_shared_redelivered_total",
        "Profiles received that a relay had received before.",
        |target| target.counters.redelivered,
    ),
    (
        "pyroscope_remote_write_shared_mismatched_total",
        "Profiles given back because another relay means another target by the same name.",
        |target| target.counters.mismatched,
    ),
    (
        "pyroscope_remote_write_shared_corrupt_total",
        "Damaged records in the stream, which are dropped.",
        |target| target.counters.corrupt,
    ),
    (
        "pyroscope_remote_write_shared_orphans_total",
        "Acknowledged records that the server had kept, and that were deleted.",
        |target| target.counters.orphans,
    ),
];

/// Registers the help texts of the series.
pub(super) fn describe() {
    series::describe(&GAUGES, &COUNTERS);
    series::describe(&TARGET_GAUGES, &TARGET_COUNTERS);
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "Time since the oldest profile of the stream was handed over; 0: none."
    );
}

/// The series of a shared backlog.
#[derive(Debug)]
pub(super) struct SharedSeries {
    backlog: Arc<dyn SharedBacklog>,
    series: Series<SharedJson>,
    /// By the name of the target.
    targets: Mutex<BTreeMap<String, StreamSeries>>,
}

impl SharedSeries {
    pub(super) fn new(backlog: Arc<dyn SharedBacklog>) -> Self {
        Self {
            backlog,
            series: Series::new(&GAUGES, &COUNTERS),
            targets: Mutex::default(),
        }
    }

    /// Copies the numbers into their series. Targets that were removed keep their last counts until `telemetry::targets`
    /// hides them.
    pub(super) fn update(&self) {
        let shared = self.backlog.state();
        self.series.update(&shared);
        let mut targets = lock(&self.targets);
        for target in &shared.targets {
            let series = targets.entry(target.name.clone());
            let series = series.or_insert_with_key(|name| StreamSeries::new(name));
            series.update(target);
        }
        let is_listed = |name: &String| shared.targets.iter().any(|it| it.name == *name);
        for (_, series) in targets.iter().filter(|(name, _)| !is_listed(name)) {
            series.clear();
        }
    }
}

/// The series of one target.
#[derive(Debug)]
struct StreamSeries {
    series: Series<SharedTargetJson>,
    oldest: Gauge,
}

impl StreamSeries {
    fn new(target: &str) -> Self {
        Self {
            series: Series::of_target(&TARGET_GAUGES, &TARGET_COUNTERS, target),
            oldest: gauge!(OLDEST, "target" => target.to_owned()),
        }
    }

    fn update(&self, of: &SharedTargetJson) {
        self.series.update(of);
        self.oldest.set(of.oldest_seconds.unwrap_or_default());
    }

    /// Sets the gauges to zero: the relay does not look at the stream any more.
    fn clear(&self) {
        self.series.clear();
        self.oldest.set(0);
    }
}
