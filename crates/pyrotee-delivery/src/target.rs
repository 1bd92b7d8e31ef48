//! One target: takes records from its queue and uploads them.

use std::sync::Arc;

use pyrotee_net::{Connector, Links};
use pyrotee_queue::{Consumer, Lane, Lease, Reason, Surfaces, Wanted};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::Gate;
use crate::client::TargetClient;
use crate::failure_log::FailureLog;
use crate::metrics::TargetMetrics;
use crate::outcome::Outcome;
use crate::{Settings, SettingsError};

/// Whatever there is, fresh records first.
const ANY: [Wanted; 2] = [wanted(Lane::Fresh), wanted(Lane::Backlog)];

const fn wanted(lane: Lane) -> Wanted {
    Wanted {
        lane,
        surfaces: Surfaces::ALL,
        early: false,
    }
}

/// A target that is ready to run.
#[derive(Debug)]
pub struct Target {
    shared: Arc<Shared>,
    workers: Arc<Semaphore>,
    links: Links,
}

/// What all uploads of one target share.
#[derive(Debug)]
struct Shared {
    name: String,
    client: TargetClient,
    consumer: Arc<dyn Consumer>,
    gate: Gate,
    log: FailureLog,
    metrics: TargetMetrics,
}

impl Target {
    /// A target that takes what `consumer` leases.
    ///
    /// # Errors
    ///
    /// If a setting cannot be sent as a header.
    pub fn new(
        settings: &Settings,
        connector: Connector,
        consumer: Arc<dyn Consumer>,
    ) -> Result<Self, SettingsError> {
        let links = connector.links().clone();
        let shared = Shared {
            name: settings.name.clone(),
            client: TargetClient::new(settings, connector)?,
            consumer,
            gate: Gate::default(),
            log: FailureLog::default(),
            metrics: TargetMetrics::new(settings),
        };
        let workers = Arc::new(Semaphore::new(settings.workers.max(1)));
        Ok(Self {
            shared: Arc::new(shared),
            workers,
            links,
        })
    }

    /// The counts of its connections.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Delivers until the queue is closed and empty, or until `stop`; what is left then is counted
    /// as lost by the shutdown.
    pub async fn run(self, stop: CancellationToken) {
        let uploads = TaskTracker::new();
        while let Some((lease, worker)) = self.next(&stop).await {
            let shared = Arc::clone(&self.shared);
            let stop = stop.clone();
            uploads.spawn(async move {
                shared.deliver(lease, &stop).await;
                drop(worker);
            });
        }
        uploads.close();
        uploads.wait().await;
        self.shared.consumer.abandon(Reason::Shutdown);
    }

    /// The next record and a worker for it; `None` if there will be no more.
    async fn next(&self, stop: &CancellationToken) -> Option<(Lease, OwnedSemaphorePermit)> {
        let next = async {
            let worker = Arc::clone(&self.workers).acquire_owned().await.ok()?;
            self.shared.gate.pass().await;
            let lease = self.shared.consumer.lease(&ANY).await?;
            Some((lease, worker))
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            next = next => next,
        }
    }
}

impl Shared {
    async fn deliver(&self, lease: Lease, stop: &CancellationToken) {
        self.metrics.in_flight.increment(1);
        tokio::select! {
            biased;
            // The lease is released, for `abandon` to count.
            () = stop.cancelled() => {}
            outcome = self.client.upload(lease.record(), &self.metrics) => {
                self.settle(lease, &outcome);
            }
        }
        self.metrics.in_flight.decrement(1);
    }

    fn settle(&self, lease: Lease, outcome: &Outcome) {
        match outcome.reached() {
            Some(true) => self.gate.reached(),
            Some(false) => self.gate.unreachable(),
            // The gate may have let this one through as its probe; another must follow.
            None => self.gate.untried(),
        }
        self.metrics
            .settled(outcome, lease.record().head().received);
        match outcome.loss() {
            None => lease.ack(),
            Some(reason) => {
                self.log.note(&self.name, outcome);
                lease.lose(reason);
            }
        }
    }
}
