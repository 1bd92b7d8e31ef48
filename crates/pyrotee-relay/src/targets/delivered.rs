//! One target that is delivered, and the collection of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_admin::json::reload::Change;
use pyrotee_admin::{Membership, TargetView};
use pyrotee_config::Target;
use pyrotee_delivery::{Deliverer, TargetHandle, TargetMonitor};
use pyrotee_net::ConnectionCounts;
use pyrotee_queue::{OpenQueue, QueueId, WallClock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::DelivererParts;
use super::drain::{self, DrainDeadline};
use super::scraped::{SHOWN_FOR, ScrapedTarget};
use crate::settings;

/// A target that has a deliverer, or had one until it was drained.
#[derive(Debug)]
pub(super) struct DeliveredTarget {
    target: Target,
    queue: OpenQueue,
    handle: TargetHandle,
    monitor: TargetMonitor,
    connections: ConnectionCounts,
    membership: Membership,
    deadline: Arc<DrainDeadline>,
}

impl DeliveredTarget {
    /// A target with a new deliverer.
    pub(super) fn new(
        parts: &DelivererParts,
        target: &Target,
        queue: OpenQueue,
    ) -> anyhow::Result<(Self, Deliverer)> {
        let deliverer = Deliverer::new(
            &settings::delivery(target),
            parts.outside.connector()?,
            Arc::clone(&queue.consumer),
            WallClock::system(),
            parts.dead_letters.clone(),
            parts.refresh.clone(),
            parts.supervisor.clone(),
        )?;
        let delivered = Self {
            target: target.clone(),
            queue,
            handle: deliverer.handle(),
            monitor: deliverer.monitor(),
            connections: deliverer.connections().clone(),
            membership: Membership::Configured,
            deadline: Arc::new(DrainDeadline::new(None)),
        };
        Ok((delivered, deliverer))
    }

    /// The target with a deliverer again: the target was drained, and has come back.
    pub(super) fn again(
        self,
        target: &Target,
        queue: OpenQueue,
    ) -> anyhow::Result<(Self, Deliverer)> {
        let deliverer = self.handle.deliverer_again(Arc::clone(&queue.consumer));
        let mut delivered = Self {
            handle: deliverer.handle(),
            queue,
            ..self
        };
        delivered.update(target)?;
        Ok((delivered, deliverer))
    }

    pub(super) fn handle(&self) -> &TargetHandle {
        &self.handle
    }

    pub(super) fn name(&self) -> &str {
        &self.target.name
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.membership, Membership::Draining { .. })
    }

    /// Puts the target in force with these settings. `None`: the target was in force with the same settings.
    pub(super) fn update(&mut self, target: &Target) -> anyhow::Result<Option<Change>> {
        let returns = self.is_draining();
        let is_changed = *target != self.target;
        if is_changed {
            self.handle.update(&settings::delivery(target))?;
            self.target = target.clone();
        }
        if returns {
            self.membership = Membership::Configured;
            self.deadline.send_replace(None);
        }
        Ok(match (returns, is_changed) {
            (true, _) => Some(Change::Returned),
            (false, true) => Some(Change::Changed),
            (false, false) => None,
        })
    }

    /// Notes that the target was removed: its pending records are delivered for `drain`, or for its `max-age` if that is
    /// shorter.
    pub(super) fn drain(&mut self, drain: Duration) {
        let drain = self.target.max_age.map_or(drain, |age| age.min(drain));
        let now = SystemTime::now();
        self.membership = Membership::Draining {
            since: now,
            until: now.checked_add(drain).unwrap_or(now),
        };
        let deadline = Instant::now().checked_add(drain);
        self.deadline
            .send_replace(Some(deadline.unwrap_or_else(Instant::now)));
    }

    /// Ends the delivery of a removed target now.
    pub(super) fn stop_draining(&self) {
        self.deadline.send_replace(Some(Instant::now()));
    }

    /// Delivers until the target is drained, or until `stop`.
    pub(super) fn deliver(
        &self,
        deliverer: Deliverer,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (handle, deadline) = (self.handle.clone(), Arc::clone(&self.deadline));
        drain::deliver(deliverer, handle, deadline, stop)
    }

    fn view(&self) -> Arc<TargetView> {
        Arc::new(TargetView {
            id: self.queue.id,
            name: self.target.name.clone(),
            address: self.target.address.to_string(),
            tenant: self.target.tenant.clone(),
            workers: self.target.queue_workers,
            limits: settings::limits(&self.target),
            ledger: Arc::clone(&self.queue.ledger),
            consumer: Arc::clone(&self.queue.consumer),
            monitor: self.monitor.clone(),
            membership: self.membership,
        })
    }
}

/// The targets that have a deliverer, and the targets that were drained.
#[derive(Debug, Default)]
pub(super) struct DeliveredTargets {
    /// By name.
    delivered: BTreeMap<String, DeliveredTarget>,
    /// The names of the targets in force, in the order of the configuration.
    order: Vec<String>,
    /// Targets that were removed and drained, by name, and since when. They may come back.
    ended: BTreeMap<String, (DeliveredTarget, Instant)>,
    /// The names of all targets that ever were in force.
    pub(super) names: BTreeSet<String>,
}

impl DeliveredTargets {
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut DeliveredTarget> {
        self.delivered.get_mut(name)
    }

    pub(super) fn insert(&mut self, delivered: DeliveredTarget) {
        self.delivered
            .insert(delivered.name().to_owned(), delivered);
    }

    /// The targets that have a deliverer.
    pub(super) fn all(&self) -> impl Iterator<Item = &DeliveredTarget> {
        self.delivered.values()
    }

    /// The targets that are not draining.
    pub(super) fn in_force(&mut self) -> impl Iterator<Item = &mut DeliveredTarget> {
        self.delivered
            .values_mut()
            .filter(|delivered| !delivered.is_draining())
    }

    /// Takes out a target that was drained.
    pub(super) fn take_ended(&mut self, name: &str) -> Option<DeliveredTarget> {
        self.ended.remove(name).map(|(delivered, _)| delivered)
    }

    /// Notes that a removed target is not delivered any more. `None`: the target is in force.
    pub(super) fn end_draining(&mut self, name: &str) -> Option<QueueId> {
        self.delivered
            .get(name)
            .filter(|delivered| delivered.is_draining())?;
        let delivered = self.delivered.remove(name)?;
        let id = delivered.queue.id;
        self.ended
            .insert(name.to_owned(), (delivered, Instant::now()));
        Some(id)
    }

    /// A deliverer for a target in force whose deliverer has ended.
    pub(super) fn deliver_again(&mut self, name: &str) -> Option<(&DeliveredTarget, Deliverer)> {
        let delivered = self.delivered.get_mut(name)?;
        let consumer = Arc::clone(&delivered.queue.consumer);
        let deliverer = delivered.handle.deliverer_again(consumer);
        delivered.handle = deliverer.handle();
        Some((delivered, deliverer))
    }

    /// Sets the order of the targets in force.
    pub(super) fn set_order(&mut self, in_force: &[Target]) {
        self.order = in_force.iter().map(|target| target.name.clone()).collect();
    }

    /// The views of all targets: those in force in their order, then the draining ones; and what a scrape reads, which has
    /// those that were drained a moment ago, too.
    pub(super) fn show(&self) -> (Vec<Arc<TargetView>>, Vec<ScrapedTarget>) {
        let configured = self
            .order
            .iter()
            .filter_map(|name| self.delivered.get(name));
        let draining = self
            .delivered
            .values()
            .filter(|delivered| delivered.is_draining());
        let shown = configured
            .chain(draining)
            .map(|delivered| (delivered, None));
        let recent = self.ended.values();
        let recent = recent.filter(|(_, at)| at.elapsed() < SHOWN_FOR);
        let all = shown.chain(recent.map(|(delivered, at)| (delivered, Some(*at))));
        let (mut views, mut scraped) = (Vec::new(), Vec::new());
        for (delivered, ended_at) in all {
            let view = delivered.view();
            if ended_at.is_none() {
                views.push(Arc::clone(&view));
            }
            scraped.push(ScrapedTarget {
                view,
                connections: delivered.connections.clone(),
                is_removed: delivered.is_draining(),
                ended_at,
            });
        }
        (views, scraped)
    }
}
