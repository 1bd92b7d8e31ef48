//! The targets of a running relay: those of the configuration in force, and removed ones that are still delivered.
//!
//! Invariants:
//!
//! - A name has one queue and one ledger for the life of the process, which the backend keeps.
//! - A name has at most one deliverer at a time. A target that returns while it is drained keeps its deliverer.
//! - A target that is unchanged is not touched.

mod delivered;
mod drain;
mod fleet;
mod scraped;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use pyrotee_admin::json::reload::{Change, TargetChangeJson};
use pyrotee_admin::{BoxFuture, Draining, TargetList};
use pyrotee_config::Target;
use pyrotee_delivery::{CredentialRefresh, DeadLetterSink};
use pyrotee_queue::{Ledger, OpenQueue, Registry, Supervisor, TargetQueue, lock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::outside::Outside;
use crate::settings;
use delivered::{DeliveredTarget, DeliveredTargets};
use fleet::Fleet;
pub(crate) use scraped::{SHOWN_FOR, ScrapedTarget, ScrapedTargets};

/// Most names of targets in the life of a process: each keeps its queue, its ledger and its series.
pub(crate) const MOST_NAMES: usize = 1_000;

/// What all deliverers have in common.
#[derive(Debug)]
pub(crate) struct DelivererParts {
    pub(crate) outside: Outside,
    pub(crate) dead_letters: DeadLetterSink,
    pub(crate) refresh: CredentialRefresh,
    pub(crate) supervisor: Supervisor,
    /// Drops what is pending and ends all deliveries.
    pub(crate) stop: CancellationToken,
}

/// The targets of a running relay.
#[derive(Debug)]
pub(crate) struct Targets {
    parts: DelivererParts,
    registry: Arc<dyn Registry>,
    /// Most bytes that all removed targets together have in memory.
    removed_bytes: u64,
    /// Most bytes of a target's shared backlog, which only a restart changes; `None` if the relay shares none.
    shared_max_bytes: Option<u64>,
    delivered: Mutex<DeliveredTargets>,
    fleet: Fleet,
    /// Notified when a deliverer has ended.
    ended: Notify,
    tasks: TaskTracker,
    list: TargetList,
    scraped: ScrapedTargets,
}

impl Targets {
    /// The targets of a backend that opened `queues` for `targets`, in the same order. Deliveries begin at once.
    ///
    /// # Errors
    /// A setting cannot be sent as a header.
    pub(crate) fn start(
        parts: DelivererParts,
        registry: Arc<dyn Registry>,
        removed_bytes: u64,
        shared_max_bytes: Option<u64>,
        targets: &[Target],
        queues: Vec<OpenQueue>,
    ) -> anyhow::Result<Arc<Self>> {
        let started = Arc::new(Self {
            parts,
            registry,
            removed_bytes,
            shared_max_bytes,
            delivered: Mutex::default(),
            fleet: Fleet::default(),
            ended: Notify::new(),
            tasks: TaskTracker::new(),
            list: TargetList::default(),
            scraped: ScrapedTargets::default(),
        });
        let mut delivered = lock(&started.delivered);
        for (target, queue) in targets.iter().zip(queues) {
            started.begin(&mut delivered, target, queue)?;
        }
        delivered.set_order(targets);
        started.publish(&delivered);
        drop(delivered);
        Ok(started)
    }

    /// The targets, for the admin listener.
    pub(crate) fn list(&self) -> TargetList {
        self.list.clone()
    }

    /// The targets, for the scrape.
    pub(crate) fn scraped(&self) -> ScrapedTargets {
        self.scraped.clone()
    }

    /// Whether `targets` can be put in force.
    ///
    /// # Errors
    /// Why not, and what to do: a setting cannot be sent as a header, or the process has had too many names.
    pub(crate) fn check(&self, targets: &[Target]) -> anyhow::Result<()> {
        for target in targets {
            let settings = settings::delivery(target);
            let checked = settings.check();
            checked.with_context(|| format!("failed to prepare target {}", target.name))?;
        }
        let delivered = lock(&self.delivered);
        let new = targets
            .iter()
            .filter(|it| !delivered.names.contains(&it.name));
        anyhow::ensure!(
            delivered.names.len() + new.count() <= MOST_NAMES,
            "the relay has had targets of {} names, and keeps at most {MOST_NAMES}: restart it to add more",
            delivered.names.len()
        );
        Ok(())
    }

    /// Puts `targets` in force, which [`Targets::check`] has checked. The pending records of a target that is left out are
    /// delivered for `drain`, or for its `max-age` if that is shorter. Returns the targets that changed.
    pub(crate) fn put_in_force(
        self: &Arc<Self>,
        targets: &[Target],
        drain: Duration,
    ) -> anyhow::Result<Vec<TargetChangeJson>> {
        let mut delivered = lock(&self.delivered);
        let mut changes = Vec::new();
        let shared = self.shared_max_bytes;
        let queues = targets.iter().map(|target| target_queue(target, shared));
        let queues: Vec<_> = queues.collect();
        let queues = self.registry.put_in_force(&queues);
        for (target, queue) in targets.iter().zip(queues) {
            let change = match delivered.get_mut(&target.name) {
                Some(known) => known.update(target)?,
                None => Some(self.begin(&mut delivered, target, queue)?),
            };
            changes.extend(change.map(|change| changed(&target.name, change)));
        }
        let names: BTreeSet<_> = targets.iter().map(|target| &*target.name).collect();
        let mut has_removed = false;
        for removed in delivered.in_force().filter(|it| !names.contains(it.name())) {
            removed.drain(drain);
            has_removed = true;
            changes.push(changed(removed.name(), Change::Removed));
        }
        delivered.set_order(targets);
        self.publish(&delivered);
        drop(delivered);
        if has_removed {
            self.registry.shed_removed(self.removed_bytes);
        }
        Ok(changes)
    }

    /// Ends the delivery of a removed target, and returns when its last upload has ended. Has no effect on a target in
    /// force.
    pub(crate) async fn stop_draining(&self, name: &str) {
        loop {
            let mut ended = pin!(self.ended.notified());
            // An end from here on is noticed.
            ended.as_mut().enable();
            let is_draining = {
                let mut delivered = lock(&self.delivered);
                let draining = delivered.get_mut(name).filter(|it| it.is_draining());
                draining.map(|it| it.stop_draining()).is_some()
            };
            if !is_draining {
                return;
            }
            ended.await;
        }
    }

    /// Waits until all deliveries have ended. They end once the producer is dropped and the queues are empty.
    pub(crate) async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Begins to deliver to a target that has no deliverer.
    fn begin(
        self: &Arc<Self>,
        delivered: &mut DeliveredTargets,
        target: &Target,
        queue: OpenQueue,
    ) -> anyhow::Result<Change> {
        let is_new = delivered.names.insert(target.name.clone());
        let (begun, deliverer) = match delivered.take_ended(&target.name) {
            Some(ended) => ended.again(target, queue)?,
            None => DeliveredTarget::new(&self.parts, target, queue)?,
        };
        begun.handle().set_relays(self.fleet.relays.load(Relaxed));
        self.spawn(&begun, deliverer);
        delivered.insert(begun);
        Ok(match is_new {
            true => Change::Added,
            false => Change::Returned,
        })
    }

    fn spawn(
        self: &Arc<Self>,
        delivered: &DeliveredTarget,
        deliverer: pyrotee_delivery::Deliverer,
    ) {
        let delivering = delivered.deliver(deliverer, self.parts.stop.clone());
        let (targets, name) = (Arc::downgrade(self), delivered.name().to_owned());
        let noting = self.fleet.note(&name, delivered.handle().recoveries());
        self.tasks.spawn(async move {
            tokio::select! {
                () = delivering => {}
                () = noting => {}
            }
            if let Some(targets) = targets.upgrade() {
                targets.note_end(&name);
            }
        });
    }

    /// Notes that the deliverer of a target has ended.
    fn note_end(self: &Arc<Self>, name: &str) {
        let mut delivered = lock(&self.delivered);
        // A target in force ends with the relay.
        if let Some(ended) = delivered.end_draining(name) {
            self.registry.end_draining(ended);
            self.publish(&delivered);
        } else if !self.tasks.is_closed()
            && let Some((returned, deliverer)) = delivered.deliver_again(name)
        {
            // It came back when its queue had just ended.
            self.spawn(returned, deliverer);
        }
        drop(delivered);
        self.ended.notify_waiters();
    }

    /// Shows the targets to the admin listener and the scrape.
    fn publish(&self, delivered: &DeliveredTargets) {
        let (views, scraped) = delivered.show();
        self.list.set(views);
        self.scraped.set(scraped);
    }
}

fn changed(name: &str, change: Change) -> TargetChangeJson {
    TargetChangeJson {
        name: name.to_owned(),
        change,
    }
}

/// Stops the delivery of removed targets, for the admin listener.
#[derive(Debug)]
pub(crate) struct DrainStop(pub(crate) Arc<Targets>);

impl Draining for DrainStop {
    fn stop(&self, name: &str) -> BoxFuture<'_, ()> {
        let name = name.to_owned();
        Box::pin(async move { self.0.stop_draining(&name).await })
    }
}

/// The queue of a target, for the backend. `shared_max_bytes`: most bytes of a target's shared backlog; `None` if the relay
/// shares none.
pub(crate) fn target_queue(target: &Target, shared_max_bytes: Option<u64>) -> TargetQueue {
    TargetQueue {
        name: target.name.clone(),
        limits: settings::limits(target),
        ledger: Arc::new(Ledger::default()),
        sharing: shared_max_bytes.map(|most| settings::sharing(target, most)),
    }
}
