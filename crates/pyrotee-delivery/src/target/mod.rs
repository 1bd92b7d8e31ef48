//! One target: takes records from its queue and uploads them.

mod deliver;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::connect::Connect;
use pyrotee_net::{Connector, Dialer, Links};
use pyrotee_queue::{Consumer, Lease, Reason};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::TargetClient;
use crate::failure_log::FailureLog;
use crate::flow::{Flow, Pass};
use crate::metrics::TargetMetrics;
use crate::monitor::Journal;
use crate::{Clock, Monitor, Refusals, Settings, SettingsError};
use deliver::Deliverer;

/// How often a target that has nothing to do looks for records that are too old.
const EXPIRY: Duration = Duration::from_secs(5);

/// A target that is ready to run.
#[derive(Debug)]
pub struct Target<D = Dialer> {
    deliverer: Arc<Deliverer<D>>,
    monitor: Monitor,
    links: Links,
}

impl<D: 'static> Target<D>
where
    Connector<D>: Connect + Clone + Send + Sync + 'static,
{
    /// A target that takes what `consumer` leases, and tells `refusals` what it never will.
    ///
    /// # Errors
    ///
    /// If a setting cannot be sent as a header.
    pub fn new(
        settings: &Settings,
        connector: Connector<D>,
        consumer: Arc<dyn Consumer>,
        clock: Clock,
        refusals: Refusals,
    ) -> Result<Self, SettingsError> {
        let links = connector.links().clone();
        let flow = Flow::new(settings.workers, settings.replay_rate);
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
            links,
        })
    }

    /// The counts of its connections.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Tells how it is doing, also once it runs.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Delivers until the queue is closed and empty, or until `stop`; what is left then is counted
    /// as lost by the shutdown.
    pub async fn run(self, stop: CancellationToken) {
        let uploads = TaskTracker::new();
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                next = self.next() => next,
            };
            let Some((lease, pass)) = next else { break };
            let (deliverer, stop) = (Arc::clone(&self.deliverer), stop.clone());
            uploads.spawn(async move {
                tokio::select! {
                    biased;
                    // The lease is released, for `abandon` to count.
                    () = stop.cancelled() => {}
                    () = deliverer.deliver(lease, pass) => {}
                }
            });
        }
        uploads.close();
        uploads.wait().await;
        self.deliverer.consumer.abandon(Reason::Shutdown);
    }

    /// The next record that may be uploaded; `None` if there will be no more.
    async fn next(&self) -> Option<(Lease, Pass)> {
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
                    if let Some(pass) = flow.pass(&lease) {
                        return Some((lease, pass));
                    }
                }
                () = flow.changed() => {}
                () = sleep_until(until) => {}
            }
        }
    }
}
