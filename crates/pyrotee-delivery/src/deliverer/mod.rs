//! Delivers the records of one target: leases them from the target's queue and gives them to workers.

mod uploader;
mod workers;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use pyrotee_net::{ConnectionCounts, Connector};
use pyrotee_queue::{Consumer, Part, Reason, Supervisor};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::client::TargetClient;
use crate::failure_log::FailureLog;
use crate::flow::FlowControl;
use crate::metrics::TargetMetrics;
use crate::monitor::SharedSummary;
use crate::{DeadLetterSink, Settings, SettingsError, TargetMonitor, WallClock};
use uploader::Uploader;
use workers::{Assignment, Workers};

/// How often an idle deliverer drops expired records.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);

/// Pause of a deliverer after a panic of its own, so that repeated panics make no busy loop.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Delivers the records of one target. [`Deliverer::run`] leases them from the target's queue, uploads them and
/// settles their leases.
#[derive(Debug)]
pub struct Deliverer {
    uploader: Arc<Uploader>,
    monitor: TargetMonitor,
    connections: ConnectionCounts,
}

impl Deliverer {
    /// A deliverer for the records of `consumer`. Records with a [`DeadLetterReason`](crate::DeadLetterReason) go to
    /// `dead_letters`. `supervisor` counts panics.
    ///
    /// # Errors
    ///
    /// If a setting cannot be sent as a header.
    pub fn new(
        settings: &Settings,
        connector: Connector,
        consumer: Arc<dyn Consumer>,
        clock: WallClock,
        dead_letters: DeadLetterSink,
        supervisor: Supervisor,
    ) -> Result<Self, SettingsError> {
        let connections = connector.counts().clone();
        let flow = FlowControl::new(settings.workers, settings.replay_rate);
        let summary = SharedSummary::default();
        let monitor = TargetMonitor::new(Arc::clone(&flow), Arc::clone(&summary), settings.workers);
        let uploader = Uploader {
            name: settings.name.clone(),
            client: TargetClient::new(settings, connector, clock.clone())?,
            consumer,
            flow,
            summary,
            clock,
            dead_letters,
            max_age: settings.max_age,
            on_ambiguous: settings.on_ambiguous,
            log: FailureLog::default(),
            metrics: TargetMetrics::new(settings),
            supervisor,
        };
        Ok(Self {
            uploader: Arc::new(uploader),
            monitor,
            connections,
        })
    }

    /// The counts of the connections to this target.
    pub fn connections(&self) -> &ConnectionCounts {
        &self.connections
    }

    /// A monitor of the target's status, for use while [`Deliverer::run`] runs.
    pub fn monitor(&self) -> TargetMonitor {
        self.monitor.clone()
    }

    /// Delivers until the queue is closed and empty, or until `stop` is cancelled. Records that are still pending are
    /// dropped with [`Reason::Shutdown`].
    pub async fn run(self, stop: CancellationToken) {
        let mut workers = Workers::new(&self.uploader);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.deliver_despite_panics(&mut workers) => {}
        }
        workers.stop().await;
        self.uploader.consumer.abandon(Reason::Shutdown);
    }

    async fn deliver_despite_panics(&self, workers: &mut Workers) {
        let supervisor = &self.uploader.supervisor;
        loop {
            let delivering = self.deliver(workers);
            let ended = supervisor.catch_future(Part::Deliverer, delivering).await;
            if ended.is_ok() {
                return;
            }
            sleep(PAUSE_AFTER_PANIC).await;
        }
    }

    async fn deliver(&self, workers: &mut Workers) {
        while let Some(assignment) = self.next().await {
            workers.assign(assignment);
        }
        workers.finish().await;
    }

    /// The next record that may be uploaded, with its permit; `None` if the queue is closed and empty.
    async fn next(&self) -> Option<Assignment> {
        let Uploader { flow, consumer, .. } = &*self.uploader;
        loop {
            if let Some(received_before) = self.uploader.expiry() {
                consumer.expire(received_before);
            }
            let plan = flow.plan();
            let expire_at = Instant::now() + EXPIRY_INTERVAL;
            let until = plan.until.map_or(expire_at, |until| until.min(expire_at));
            tokio::select! {
                // Called with an empty plan too: the queue may have ended.
                lease = consumer.lease(&plan.wanted) => {
                    let lease = lease?;
                    if lease.is_evicted() {
                        self.uploader.drop_evicted(lease);
                        continue;
                    }
                    if let Some(permit) = flow.permit(&lease) {
                        return Some((lease, permit));
                    }
                }
                () = flow.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }
}
