//! One target: takes records from its queue and uploads them.

mod deliver;
mod workers;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use pyrotee_net::{ConnectionCounts, Connector};
use pyrotee_queue::{Consumer, Lease, Reason};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::client::TargetClient;
use crate::failure_log::FailureLog;
use crate::flow::{FlowControl, Permit};
use crate::metrics::TargetMetrics;
use crate::monitor::Journal;
use crate::{Clock, Monitor, Refusals, Settings, SettingsError};
use deliver::Deliverer;
use workers::Workers;

/// How often a target that has nothing to do looks for records that are too old.
const EXPIRY: Duration = Duration::from_secs(5);

/// A target that is ready to run.
#[derive(Debug)]
pub struct Target {
    deliverer: Arc<Deliverer>,
    monitor: Monitor,
    connections: ConnectionCounts,
}

impl Target {
    /// A target that takes what `consumer` leases, and tells `refusals` what it never will.
    ///
    /// # Errors
    ///
    /// If a setting cannot be sent as a header.
    pub fn new(
        settings: &Settings,
        connector: Connector,
        consumer: Arc<dyn Consumer>,
        clock: Clock,
        refusals: Refusals,
    ) -> Result<Self, SettingsError> {
        let connections = connector.counts().clone();
        let flow = FlowControl::new(settings.workers, settings.replay_rate);
        let journal = Arc::<Journal>::default();
        let monitor = Monitor::new(Arc::clone(&flow), Arc::clone(&journal), settings.workers);
        let deliverer = Deliverer {
            name: settings.name.clone(),
            client: TargetClient::new(settings, connector, clock.clone())?,
            consumer,
            flow,
            journal,
            clock,
            refusals,
            max_age: settings.max_age,
            on_ambiguous: settings.on_ambiguous,
            log: FailureLog::default(),
            metrics: TargetMetrics::new(settings),
        };
        Ok(Self {
            deliverer: Arc::new(deliverer),
            monitor,
            connections,
        })
    }

    /// The counts of the connections to this target.
    pub fn connections(&self) -> &ConnectionCounts {
        &self.connections
    }

    /// Tells how it is doing, also once it runs.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Delivers until the queue is closed and empty, or until `stop`; what is left then is counted
    /// as lost by the shutdown.
    pub async fn run(self, stop: CancellationToken) {
        let mut workers = Workers::new(&self.deliverer);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.deliver(&mut workers) => {}
        }
        workers.stop().await;
        self.deliverer.consumer.abandon(Reason::Shutdown);
    }

    async fn deliver(&self, workers: &mut Workers) {
        while let Some(job) = self.next().await {
            workers.give(job);
        }
        workers.end().await;
    }

    /// The next record that may be uploaded; `None` if there will be no more.
    async fn next(&self) -> Option<(Lease, Permit)> {
        let Deliverer { flow, consumer, .. } = &*self.deliverer;
        loop {
            if let Some(received_before) = self.deliverer.expiry() {
                consumer.expire(received_before);
            }
            let plan = flow.plan();
            let look = Instant::now() + EXPIRY;
            let until = plan.until.map_or(look, |until| until.min(look));
            tokio::select! {
                // Even if nothing is wanted: it may be the end.
                lease = consumer.lease(&plan.wanted) => {
                    let lease = lease?;
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
