//! Series whose values are read at each scrape of `/metrics`, instead of counted when something happens.
//!
//! The ledger of a target is one account behind one lock. Because each scrape copies it into the exporter, one scrape
//! after the other, `accepted = sent + pending + Σ dropped` holds in every scrape and not only on average.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use pyroscope_wire::Surface;
use pyrotee_admin::{Metrics, TargetView};
use pyrotee_delivery::TargetState;
use pyrotee_net::ConnectionCounts;
use pyrotee_proxy::Gauges;
use pyrotee_queue::{Budget, Supervisor, lock};

use super::account::{self, AccountSeries, TARGET_STATE};
use super::dead_letters::DeadLetterSeries;
use super::panics::PanicSeries;
use super::removed::RemovedSeries;
use super::series::float;
use super::spool::SpoolSeries;
use crate::build_info;

const BUILD_INFO: &str = "pyroscope_relay_build_info";
const CONNECTIONS: &str = "pyroscope_relay_connections";
const MEMORY: &str = "pyroscope_relay_memory_bytes";
const MEMORY_LIMIT: &str = "pyroscope_relay_memory_limit_bytes";

const QUEUE_CAPACITY: &str = "pyroscope_remote_write_queue_capacity";
const QUEUE_PENDING: &str = "pyroscope_remote_write_queue_pending";
const QUEUE_WORKERS: &str = "pyroscope_remote_write_queue_workers_total";
const QUEUE_DROPPED: &str = "pyroscope_remote_write_queue_dropped";

const PENDING_LIMIT: &str = "pyroscope_remote_write_pending_limit_bytes";
const OLDEST_PENDING: &str = "pyroscope_remote_write_oldest_pending_age_seconds";
const TARGET_CONNECTIONS: &str = "pyroscope_remote_write_connections";
const TARGET_OPENED: &str = "pyroscope_remote_write_connections_opened_total";
const IN_FLIGHT: &str = "pyroscope_remote_write_inflight_requests";
const LAST_SUCCESS: &str = "pyroscope_remote_write_last_success_timestamp_seconds";
const LAST_FAILURE: &str = "pyroscope_remote_write_last_failure_timestamp_seconds";
const TARGET_INFO: &str = "pyroscope_remote_write_target_info";

const SURFACE_SUSPENDED: &str = "pyroscope_remote_write_surface_suspended";
const CONCURRENCY_LIMIT: &str = "pyroscope_remote_write_concurrency_limit";
const ATTEMPTS: &str = "pyroscope_remote_write_attempts_total";

/// Registers the help texts of the series.
pub(super) fn describe() {
    describe_gauge!(
        BUILD_INFO,
        "1, with version, revision and compiler as labels."
    );
    describe_gauge!(
        CONNECTIONS,
        "Open connections, of clients and to the upstream."
    );
    describe_gauge!(
        MEMORY,
        Unit::Bytes,
        "Memory charged to bodies: inflight while received, queues until delivered, unpacking while rewritten."
    );
    describe_gauge!(
        MEMORY_LIMIT,
        Unit::Bytes,
        "The limit of all pools together."
    );
    describe_gauge!(QUEUE_CAPACITY, "Profiles that the target's queue can hold.");
    describe_gauge!(QUEUE_PENDING, "Profiles queued or in flight.");
    describe_gauge!(QUEUE_WORKERS, "Maximum number of uploads at once.");
    describe_counter!(QUEUE_DROPPED, "Profiles not accepted into the queue.");
    account::describe();
    describe_gauge!(
        PENDING_LIMIT,
        Unit::Bytes,
        "Bytes of profiles that may be pending."
    );
    describe_gauge!(
        OLDEST_PENDING,
        Unit::Seconds,
        "Age of the oldest pending profile; 0: none."
    );
    describe_gauge!(TARGET_CONNECTIONS, "Open connections to the target.");
    describe_counter!(TARGET_OPENED, "Connections opened to the target.");
    describe_gauge!(
        TARGET_INFO,
        "1, with the address and the tenant of the target as labels."
    );
    describe_gauge!(IN_FLIGHT, "Uploads in flight.");
    describe_gauge!(
        LAST_SUCCESS,
        Unit::Seconds,
        "When the target last took a profile; 0: never."
    );
    describe_gauge!(
        LAST_FAILURE,
        Unit::Seconds,
        "When an upload last failed; 0: never."
    );
    describe_gauge!(
        TARGET_STATE,
        "1 for the state that the target is in, 0 for the others."
    );
    describe_gauge!(
        SURFACE_SUSPENDED,
        "1 while uploads of a surface are held back because the target refuses them all."
    );
    describe_gauge!(
        CONCURRENCY_LIMIT,
        "Current limit on the number of uploads in flight."
    );
    describe_counter!(ATTEMPTS, "Uploads tried, retries included.");
}

/// Everything that a scrape reads.
#[derive(Debug)]
pub(crate) struct Scrape {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    targets: Arc<[TargetView]>,
    /// In the order of the targets.
    series: Vec<Series>,
    budget: Arc<Budget>,
    memory: [Gauge; 3],
    proxy: Gauges,
    connections: [Gauge; 2],
    spool: Option<SpoolSeries>,
    removed: Option<RemovedSeries>,
    dead_letters: Option<DeadLetterSeries>,
    panics: Option<PanicSeries>,
    /// One scrape at a time: two would mix their snapshots.
    turn: Mutex<()>,
}

impl Scrape {
    pub(crate) fn new(
        handle: PrometheusHandle,
        targets: Arc<[TargetView]>,
        connections: Vec<ConnectionCounts>,
        budget: Arc<Budget>,
        proxy: Gauges,
        spool: Option<pyrotee_spool::Monitor>,
        dead_letters: Option<pyrotee_letters::Monitor>,
    ) -> Self {
        gauge!(
            BUILD_INFO,
            "version" => build_info::VERSION,
            "revision" => build_info::REVISION,
            "rustc" => build_info::RUSTC
        )
        .set(1);
        gauge!(MEMORY_LIMIT).set(float(budget.limit()));
        Self {
            handle,
            process: metrics_process::Collector::default(),
            series: targets.iter().zip(connections).map(Series::new).collect(),
            targets,
            budget,
            memory: ["inflight", "queues", "unpacking"].map(|pool| gauge!(MEMORY, "pool" => pool)),
            proxy,
            connections: ["client", "upstream"].map(|side| gauge!(CONNECTIONS, "side" => side)),
            removed: spool.clone().map(RemovedSeries::new),
            spool: spool.map(SpoolSeries::new),
            dead_letters: dead_letters.map(DeadLetterSeries::new),
            panics: None,
            turn: Mutex::new(()),
        }
    }

    /// Shows the panics that `supervisor` counts, too.
    pub(crate) fn with_panics(mut self, supervisor: Supervisor) -> Self {
        self.panics = Some(PanicSeries::new(supervisor));
        self
    }
}

impl Metrics for Scrape {
    fn render(&self) -> String {
        let _turn = lock(&self.turn);
        for (target, series) in self.targets.iter().zip(&self.series) {
            series.update(target);
        }
        let [inflight, queues, unpacking] = &self.memory;
        inflight.set(float(self.budget.receiving()));
        queues.set(float(self.budget.recorded()));
        unpacking.set(float(self.budget.unpacking()));
        let [client, upstream] = &self.connections;
        client.set(float(self.proxy.client_connections() as u64));
        upstream.set(float(self.proxy.upstream_connections()));
        if let Some(spool) = &self.spool {
            spool.update();
        }
        if let Some(removed) = &self.removed {
            removed.update();
        }
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.update();
        }
        if let Some(panics) = &self.panics {
            panics.update();
        }
        self.process.collect();
        self.handle.render()
    }

    fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// The series of one target that are read at each scrape.
#[derive(Debug)]
struct Series {
    account: AccountSeries,
    legacy_pending: Gauge,
    legacy_dropped: Counter,
    oldest: Gauge,
    counts: ConnectionCounts,
    connections: Gauge,
    opened: Counter,
    states: [(TargetState, Gauge); TargetState::ALL.len()],
    /// By the name of the surface.
    suspended: Vec<(&'static str, Gauge)>,
    in_flight: Gauge,
    last_success: Gauge,
    last_failure: Gauge,
    limit: Gauge,
    attempts: Counter,
}

impl Series {
    fn new((view, counts): (&TargetView, ConnectionCounts)) -> Self {
        let (target, address) = (view.name.clone(), view.address.clone());
        let legacy = [
            ("target_name", target.clone()),
            ("target_address", address.clone()),
        ];
        gauge!(QUEUE_CAPACITY, &legacy).set(float(view.limits.records as u64));
        gauge!(QUEUE_WORKERS, &legacy).set(float(view.workers as u64));
        gauge!(PENDING_LIMIT, "target" => target.clone()).set(float(view.limits.bytes));
        let tenant = view.tenant.clone().unwrap_or_default();
        gauge!(TARGET_INFO, "target" => target.clone(), "address" => address, "tenant" => tenant)
            .set(1);
        let state = |state: TargetState| {
            let gauge = gauge!(TARGET_STATE, "target" => target.clone(), "state" => state.as_str());
            (state, gauge)
        };
        let suspended = |surface: &'static str| {
            let gauge = gauge!(SURFACE_SUSPENDED, "target" => target.clone(), "surface" => surface);
            (surface, gauge)
        };
        Self {
            account: AccountSeries::new(&target),
            legacy_pending: gauge!(QUEUE_PENDING, &legacy),
            legacy_dropped: counter!(QUEUE_DROPPED, &legacy),
            oldest: gauge!(OLDEST_PENDING, "target" => target.clone()),
            counts,
            connections: gauge!(TARGET_CONNECTIONS, "target" => target.clone()),
            opened: counter!(TARGET_OPENED, "target" => target.clone()),
            states: TargetState::ALL.map(state),
            suspended: Surface::NAMES.into_iter().map(suspended).collect(),
            in_flight: gauge!(IN_FLIGHT, "target" => target.clone()),
            last_success: gauge!(LAST_SUCCESS, "target" => target.clone()),
            last_failure: gauge!(LAST_FAILURE, "target" => target.clone()),
            limit: gauge!(CONCURRENCY_LIMIT, "target" => target.clone()),
            attempts: counter!(ATTEMPTS, "target" => target.clone()),
        }
    }

    fn update(&self, target: &TargetView) {
        let counts = target.counts();
        self.account.update(&counts);
        self.legacy_pending.set(float(counts.pending.profiles));
        self.legacy_dropped.absolute(counts.refused.profiles);
        self.oldest.set(target.oldest().unwrap_or_default());
        self.connections.set(float(self.counts.open()));
        self.opened.absolute(self.counts.opened());

        let status = target.monitor.status();
        for (state, gauge) in &self.states {
            gauge.set(f64::from(u8::from(*state == status.state)));
        }
        for (surface, gauge) in &self.suspended {
            let suspended = status
                .suspended
                .iter()
                .any(|it| it.surface.name() == *surface);
            gauge.set(f64::from(u8::from(suspended)));
        }
        self.in_flight.set(float(status.in_flight as u64));
        self.last_success.set(since_epoch(status.last_success));
        let failed = status.last_error.map(|error| error.at);
        self.last_failure.set(since_epoch(failed));
        self.limit.set(float(status.limit as u64));
        self.attempts.absolute(status.attempts);
    }
}

/// Unix time; 0 for never.
fn since_epoch(at: Option<SystemTime>) -> Duration {
    let since = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.unwrap_or_default()
}
