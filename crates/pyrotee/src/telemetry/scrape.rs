//! What is read, rather than counted, when `/metrics` is asked for.
//!
//! The ledger of a target is one account behind one lock. Copying it into the exporter at each scrape,
//! one scrape after the other, is what makes `accepted = sent + pending + Σ dropped` hold in every
//! scrape and not only on the average.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use pyrotee_net::Links;
use pyrotee_proxy::Gauges;
use pyrotee_queue::{Budget, Consumer, Ledger, Reason, Tally};

use crate::{build_info, config};

const BUILD_INFO: &str = "pyroscope_relay_build_info";
const CONNECTIONS: &str = "pyroscope_relay_connections";
const MEMORY: &str = "pyroscope_relay_memory_bytes";
const MEMORY_LIMIT: &str = "pyroscope_relay_memory_limit_bytes";

const QUEUE_CAPACITY: &str = "pyroscope_remote_write_queue_capacity";
const QUEUE_PENDING: &str = "pyroscope_remote_write_queue_pending";
const QUEUE_WORKERS: &str = "pyroscope_remote_write_queue_workers_total";
const QUEUE_DROPPED: &str = "pyroscope_remote_write_queue_dropped";

const ACCEPTED: [&str; 2] = [
    "pyroscope_remote_write_accepted_profiles_total",
    "pyroscope_remote_write_accepted_bytes_total",
];
const SENT: [&str; 2] = [
    "pyroscope_remote_write_sent_profiles_total",
    "pyroscope_remote_write_sent_bytes_total",
];
const DROPPED: [&str; 2] = [
    "pyroscope_remote_write_dropped_profiles_total",
    "pyroscope_remote_write_dropped_bytes_total",
];
const PENDING: [&str; 2] = [
    "pyroscope_remote_write_pending_profiles",
    "pyroscope_remote_write_pending_bytes",
];

const PENDING_LIMIT: &str = "pyroscope_remote_write_pending_limit_bytes";
const OLDEST_PENDING: &str = "pyroscope_remote_write_oldest_pending_age_seconds";
const TARGET_CONNECTIONS: &str = "pyroscope_remote_write_connections";
const TARGET_OPENED: &str = "pyroscope_remote_write_connections_opened_total";
const TARGET_INFO: &str = "pyroscope_remote_write_target_info";

/// Tells the exporter what the series mean.
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
        "Memory charged to bodies: inflight while received, queues until delivered."
    );
    describe_gauge!(
        MEMORY_LIMIT,
        Unit::Bytes,
        "The limit of both pools together."
    );
    describe_gauge!(QUEUE_CAPACITY, "Profiles that the target's queue can hold.");
    describe_gauge!(QUEUE_PENDING, "Profiles queued or in flight.");
    describe_gauge!(QUEUE_WORKERS, "Most uploads at once.");
    describe_counter!(QUEUE_DROPPED, "Profiles not accepted into the queue.");
    describe_counter!(
        ACCEPTED[0],
        "Profiles offered to the target, refusals included."
    );
    describe_counter!(
        ACCEPTED[1],
        Unit::Bytes,
        "Bytes of profiles offered to the target."
    );
    describe_counter!(SENT[0], "Profiles that the target took.");
    describe_counter!(
        SENT[1],
        Unit::Bytes,
        "Bytes of profiles that the target took."
    );
    describe_counter!(DROPPED[0], "Profiles lost, by reason.");
    describe_counter!(
        DROPPED[1],
        Unit::Bytes,
        "Bytes of profiles lost, by reason."
    );
    describe_gauge!(PENDING[0], "Profiles queued or in flight.");
    describe_gauge!(
        PENDING[1],
        Unit::Bytes,
        "Bytes of profiles queued or in flight."
    );
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
}

/// Everything that a scrape reads.
#[derive(Debug)]
pub(crate) struct Scrape {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    targets: Vec<TargetSeries>,
    budget: Arc<Budget>,
    memory: [Gauge; 2],
    proxy: Gauges,
    connections: [Gauge; 2],
    /// One scrape at a time: two would mix their snapshots.
    turn: Mutex<()>,
}

impl Scrape {
    pub(crate) fn new(
        handle: PrometheusHandle,
        targets: Vec<TargetSeries>,
        budget: Arc<Budget>,
        proxy: Gauges,
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
            targets,
            budget,
            memory: ["inflight", "queues"].map(|pool| gauge!(MEMORY, "pool" => pool)),
            proxy,
            connections: ["client", "upstream"].map(|side| gauge!(CONNECTIONS, "side" => side)),
            turn: Mutex::new(()),
        }
    }

    /// The text of `/metrics`.
    pub(crate) fn render(&self) -> String {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for target in &self.targets {
            target.update();
        }
        let [inflight, queues] = &self.memory;
        inflight.set(float(self.budget.receiving()));
        queues.set(float(self.budget.recorded()));
        let [client, upstream] = &self.connections;
        client.set(float(self.proxy.client_connections() as u64));
        upstream.set(float(self.proxy.upstream_connections()));
        self.process.collect();
        self.handle.render()
    }

    /// Empties the exporter's sample buffers, which grow until then; to be called every few seconds.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// The series of one target that are read.
#[derive(Debug)]
pub(crate) struct TargetSeries {
    ledger: Arc<Ledger>,
    consumer: Arc<dyn Consumer>,
    links: Links,
    accepted: [Counter; 2],
    sent: [Counter; 2],
    pending: [Gauge; 2],
    dropped: Vec<(Reason, [Counter; 2])>,
    legacy_pending: Gauge,
    legacy_dropped: Counter,
    oldest: Gauge,
    connections: Gauge,
    opened: Counter,
}

impl TargetSeries {
    pub(crate) fn new(
        target: &config::Target,
        ledger: Arc<Ledger>,
        consumer: Arc<dyn Consumer>,
        links: Links,
    ) -> Self {
        let config::Target { upload, queue } = target;
        let (target, address) = (upload.name.clone(), upload.address.to_string());
        let legacy = [
            ("target_name", target.clone()),
            ("target_address", address.clone()),
        ];
        gauge!(QUEUE_CAPACITY, &legacy).set(float(queue.records as u64));
        gauge!(QUEUE_WORKERS, &legacy).set(float(upload.workers as u64));
        gauge!(PENDING_LIMIT, "target" => target.clone()).set(float(queue.bytes));
        let tenant = upload.tenant.clone().unwrap_or_default();
        gauge!(TARGET_INFO, "target" => target.clone(), "address" => address, "tenant" => tenant)
            .set(1);
        let counters =
            |names: [&'static str; 2]| names.map(|name| counter!(name, "target" => target.clone()));
        let dropped = |reason: Reason| {
            let counters = DROPPED.map(
                |name| counter!(name, "target" => target.clone(), "reason" => reason.as_str()),
            );
            (reason, counters)
        };
        Self {
            ledger,
            consumer,
            links,
            accepted: counters(ACCEPTED),
            sent: counters(SENT),
            pending: PENDING.map(|name| gauge!(name, "target" => target.clone())),
            dropped: Reason::ALL.into_iter().map(dropped).collect(),
            legacy_pending: gauge!(QUEUE_PENDING, &legacy),
            legacy_dropped: counter!(QUEUE_DROPPED, &legacy),
            oldest: gauge!(OLDEST_PENDING, "target" => target.clone()),
            connections: gauge!(TARGET_CONNECTIONS, "target" => target.clone()),
            opened: counter!(TARGET_OPENED, "target" => target.clone()),
        }
    }

    fn update(&self) {
        let counts = self.ledger.snapshot();
        set(&self.accepted, counts.accepted);
        set(&self.sent, counts.sent);
        for (reason, counters) in &self.dropped {
            set(counters, counts.dropped(*reason));
        }
        let [profiles, bytes] = &self.pending;
        profiles.set(float(counts.pending.profiles));
        bytes.set(float(counts.pending.bytes));
        self.legacy_pending.set(float(counts.pending.profiles));
        self.legacy_dropped.absolute(counts.refused.profiles);
        let age = self
            .consumer
            .oldest()
            .and_then(|oldest| SystemTime::now().duration_since(oldest).ok());
        self.oldest.set(age.unwrap_or_default());
        self.connections.set(float(self.links.open()));
        self.opened.absolute(self.links.opened());
    }
}

fn set([profiles, bytes]: &[Counter; 2], tally: Tally) {
    profiles.absolute(tally.profiles);
    bytes.absolute(tally.bytes);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are f64; 2^53 bytes are never reached"
)]
fn float(value: u64) -> f64 {
    value as f64
}
