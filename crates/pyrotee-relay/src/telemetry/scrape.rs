//! Series whose values are read at each scrape of `/metrics`, instead of counted when something happens.
//!
//! The ledger of a target is one account behind one lock. Because each scrape copies it into the exporter, one scrape
//! after the other, `accepted = sent + pending + Σ dropped` holds in every scrape and not only on average; with a shared
//! backlog, `accepted + taken_over = sent + pending + Σ dropped + handed_over`.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::sync::{Arc, Mutex};

use metrics::{Gauge, Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use pyrotee_admin::{AdminTls, Metrics, SharedBacklog};
use pyrotee_proxy::{Gauges, UpstreamTlsHandle};
use pyrotee_queue::{Budget, Supervisor, lock};

use super::config::ConfigSeries;
use super::dead_letters::DeadLetterSeries;
use super::panics::PanicSeries;
use super::removed::RemovedSeries;
use super::series::float;
use super::shared::SharedSeries;
use super::spool::SpoolSeries;
use super::target;
use super::targets::TargetsSeries;
use super::tls::TlsSeries;
use crate::build_info;
use crate::reload::ReloadState;
use crate::scraping::JobNames;
use crate::targets::ScrapedTargets;

const BUILD_INFO: &str = "pyroscope_relay_build_info";
const CONNECTIONS: &str = "pyroscope_relay_connections";
const MEMORY: &str = "pyroscope_relay_memory_bytes";
const MEMORY_LIMIT: &str = "pyroscope_relay_memory_limit_bytes";

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
    target::describe();
}

/// Everything that a scrape reads.
#[derive(Debug)]
pub(crate) struct Scrape {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    targets: TargetsSeries,
    config: ConfigSeries,
    budget: Arc<Budget>,
    memory: [Gauge; 3],
    proxy: Gauges,
    connections: [Gauge; 2],
    spool: Option<SpoolSeries>,
    shared: Option<SharedSeries>,
    removed: Option<RemovedSeries>,
    dead_letters: Option<DeadLetterSeries>,
    panics: Option<PanicSeries>,
    tls: Option<TlsSeries>,
    jobs: JobNames,
    /// One scrape at a time: two would mix their snapshots.
    turn: Mutex<()>,
}

impl Scrape {
    pub(crate) fn new(
        handle: PrometheusHandle,
        targets: ScrapedTargets,
        config: Arc<ReloadState>,
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
            targets: TargetsSeries::new(targets),
            config: ConfigSeries::new(config),
            budget,
            memory: ["inflight", "queues", "unpacking"].map(|pool| gauge!(MEMORY, "pool" => pool)),
            proxy,
            connections: ["client", "upstream"].map(|side| gauge!(CONNECTIONS, "side" => side)),
            removed: spool.clone().map(RemovedSeries::new),
            spool: spool.map(SpoolSeries::new),
            shared: None,
            dead_letters: dead_letters.map(DeadLetterSeries::new),
            panics: None,
            tls: None,
            jobs: JobNames::default(),
            turn: Mutex::new(()),
        }
    }

    /// Shows the backlog that the relay shares, and what each target exchanges with it.
    pub(crate) fn with_shared(self, backlog: Option<Arc<dyn SharedBacklog>>) -> Self {
        let Some(backlog) = backlog else {
            return self;
        };
        Self {
            targets: self.targets.with_shared(),
            shared: Some(SharedSeries::new(backlog)),
            ..self
        }
    }

    /// Shows the panics that `supervisor` counts, too.
    pub(crate) fn with_panics(mut self, supervisor: Supervisor) -> Self {
        self.panics = Some(PanicSeries::new(supervisor));
        self
    }

    /// Ends the series of removed jobs.
    pub(crate) fn with_jobs(mut self, jobs: JobNames) -> Self {
        self.jobs = jobs;
        self
    }

    /// Shows the certificates of `config` and of the upstream, and the failed handshakes of the admin listener, too.
    pub(crate) fn with_tls(
        mut self,
        config: Arc<ReloadState>,
        upstream: Option<UpstreamTlsHandle>,
        admin: Option<AdminTls>,
    ) -> Self {
        self.tls = Some(TlsSeries::new(config, upstream, admin));
        self
    }
}

impl Metrics for Scrape {
    fn render(&self) -> String {
        let _turn = lock(&self.turn);
        let removed = self.removed.as_ref().map(RemovedSeries::update);
        self.targets.update(&removed.unwrap_or_default());
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
        if let Some(shared) = &self.shared {
            shared.update();
        }
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.update();
        }
        if let Some(panics) = &self.panics {
            panics.update();
        }
        if let Some(tls) = &self.tls {
            tls.update();
        }
        self.process.collect();
        self.config.update();
        let text = self.targets.without_hidden(self.handle.render());
        let mut text = self.jobs.without_removed(text);
        self.config.append_info(&mut text);
        if let Some(tls) = &self.tls {
            tls.append(&mut text);
        }
        text
    }

    fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}
