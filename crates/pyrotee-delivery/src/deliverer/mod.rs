//! Delivers the records of one target: leases them from the target's queue and gives them to workers.

mod captor_tags;
mod drops;
mod handle;
mod refresh;
mod settlement;
mod uploader;
mod workers;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use pyrotee_net::{ConnectionCounts, Connector};
use pyrotee_queue::{Consumer, Part, Reason, Supervisor, WallClock};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::failure_log::FailureLog;
use crate::monitor::SharedSummary;
use crate::route::{Route, Routes};
use crate::{CredentialRefresh, DeadLetterSink, Settings, SettingsError, TargetMonitor};
use captor_tags::CaptorTags;
pub use handle::TargetHandle;
use refresh::Refresher;
use uploader::{Assignment, Uploader};
use workers::Workers;

/// How often an idle deliverer drops expired records.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);

/// Pause of a deliverer after a panic of its own, so that repeated panics make no busy loop.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// How much longer than the target's timeout an upload may take: the body of a response has a time limit of its own.
const TIME_AFTER_TIMEOUT: Duration = Duration::from_secs(2);

/// Delivers the records of one target. [`Deliverer::run`] leases them from the target's queue, uploads them and
/// settles their leases.
#[derive(Debug)]
pub struct Deliverer {
    uploader: Arc<Uploader>,
    /// Follows the route in force.
    routes: watch::Receiver<Arc<Route>>,
    draining_stopped: CancellationToken,
    connections: ConnectionCounts,
}

impl Deliverer {
    /// A deliverer for the records of `consumer`. Records with a [`DeadLetterReason`](crate::DeadLetterReason) go to
    /// `dead_letters`. `refresh` is called when the target refuses the credentials. `supervisor` counts panics.
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
        refresh: CredentialRefresh,
        supervisor: Supervisor,
    ) -> Result<Self, SettingsError> {
        let uploader = Uploader {
            name: settings.name.clone(),
            routes: Arc::new(Routes::new(settings, connector, clock.clone())?),
            consumer,
            summary: SharedSummary::default(),
            clock,
            dead_letters,
            refresher: Refresher::new(refresh),
            log: FailureLog::default(),
            captor_tags: CaptorTags::default(),
            recoveries: watch::Sender::default(),
            supervisor,
        };
        Ok(Self::of(Arc::new(uploader)))
    }

    fn of(uploader: Arc<Uploader>) -> Self {
        Self {
            routes: uploader.routes.subscribe(),
            draining_stopped: CancellationToken::new(),
            connections: uploader.routes.connection_counts(),
            uploader,
        }
    }

    /// The counts of the connections to this target.
    pub fn connections(&self) -> &ConnectionCounts {
        &self.connections
    }

    /// A monitor of the target's status, for use while [`Deliverer::run`] runs.
    pub fn monitor(&self) -> TargetMonitor {
        TargetMonitor::new(self.routes.clone(), Arc::clone(&self.uploader.summary))
    }

    /// A handle that changes the settings and ends the delivery, for use while [`Deliverer::run`] runs.
    pub fn handle(&self) -> TargetHandle {
        TargetHandle {
            uploader: Arc::clone(&self.uploader),
            draining_stopped: self.draining_stopped.clone(),
        }
    }

    /// Delivers until the queue is closed and empty, until [`TargetHandle::stop_draining`], or until `stop` is cancelled.
    /// In the last case, records that are still pending are dropped with [`Reason::Shutdown`].
    pub async fn run(mut self, stop: CancellationToken) {
        let mut workers = Workers::new(&self.uploader);
        let is_stopped = tokio::select! {
            biased;
            () = stop.cancelled() => true,
            () = self.deliver_despite_panics(&mut workers) => false,
        };
        workers.stop().await;
        // Otherwise the queue stays as it is: its target may come back.
        if is_stopped {
            self.uploader.consumer.abandon(Reason::Shutdown);
        }
    }

    async fn deliver_despite_panics(&mut self, workers: &mut Workers) {
        let uploader = Arc::clone(&self.uploader);
        loop {
            let delivering = self.deliver(workers);
            let ended = uploader
                .supervisor
                .catch_future(Part::Deliverer, delivering);
            if ended.await.is_ok() {
                return;
            }
            sleep(PAUSE_AFTER_PANIC).await;
        }
    }

    async fn deliver(&mut self, workers: &mut Workers) {
        while let Some(assignment) = self.next(workers).await {
            workers.assign(assignment);
        }
        tokio::select! {
            () = workers.finish() => {}
            () = self.uploads_overdue() => {}
        }
    }

    /// Waits until all uploads must have ended that were in flight when [`TargetHandle::stop_draining`] was called.
    async fn uploads_overdue(&self) {
        self.draining_stopped.cancelled().await;
        let timeout = self.uploader.routes.in_force().settings.timeout;
        sleep(timeout.saturating_add(TIME_AFTER_TIMEOUT)).await;
    }

    /// The next record that may be uploaded, with its permit; `None` if the queue is closed and empty, or if the
    /// draining was stopped.
    async fn next(&mut self, workers: &mut Workers) -> Option<Assignment> {
        let Self {
            uploader,
            routes,
            draining_stopped,
            ..
        } = self;
        while !draining_stopped.is_cancelled() {
            let route = Arc::clone(&routes.borrow_and_update());
            workers.follow(&route);
            if let Some(received_before) = uploader.expiry(&route) {
                uploader.consumer.expire(received_before);
            }
            let plan = route.flow.plan();
            let expire_at = Instant::now() + EXPIRY_INTERVAL;
            let until = plan.until.map_or(expire_at, |until| until.min(expire_at));
            tokio::select! {
                // Called with an empty plan too: the queue may have ended.
                lease = uploader.consumer.lease(&plan.wanted) => {
                    let lease = lease?;
                    // Released: nothing may be leased any more, or the plan was that of a replaced route.
                    if draining_stopped.is_cancelled() || routes.has_changed().unwrap_or(false) {
                        continue;
                    }
                    if lease.is_evicted() {
                        uploader.drop_evicted(lease);
                        continue;
                    }
                    if let Some(permit) = route.flow.permit(&lease) {
                        return Some(Assignment { lease, permit, route });
                    }
                }
                () = route.flow.changed() => {}
                // The sender is in `uploader`, so this is never an error.
                _ = routes.changed() => {}
                () = draining_stopped.cancelled() => {}
                () = sleep_until(until) => {}
            }
        }
        None
    }
}
