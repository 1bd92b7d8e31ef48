//! Leases the records of one target: those in memory, and those that were received from the stream.

use std::sync::Arc;
use std::time::SystemTime;

use pyrotee_queue::{
    Consumer, Lane, Lease, LeaseFilter, LeaseFuture, Reason, Surfaces, TakeResult, Tally,
    memory_lease,
};

use crate::lease::lease;
use crate::target::{Phase, Target};

#[derive(Debug)]
pub(crate) struct SharedConsumer(pub(crate) Arc<Target>);

impl Consumer for SharedConsumer {
    fn lease<'a>(&'a self, filters: &'a [LeaseFilter]) -> LeaseFuture<'a> {
        Box::pin(async move {
            let Self(target) = self;
            loop {
                if target.is_abandoned() {
                    return None;
                }
                if target.shelf.has_buffered()
                    && let Some(lease) = self.lease_either(filters)
                {
                    return Some(lease);
                }
                // As in memory: the queue keeps a permit for a change between the two calls. The receiver notifies the
                // queue, too.
                let next_due = match target.queue.take(filters, 0) {
                    TakeResult::Leased(leased) => {
                        let lane = leased.lane();
                        target.shelf.want(unmet(filters, Some(lane)));
                        return Some(memory_lease(&target.queue, leased));
                    }
                    TakeResult::Finished if target.shelf.is_empty() => return None,
                    TakeResult::Finished => None,
                    TakeResult::NoMatch { next_due } => next_due,
                };
                target.shelf.want(unmet(filters, None));
                target.queue.changed(next_due).await;
            }
        })
    }

    fn fall_behind(&self) {
        self.0.queue.fall_behind();
    }

    fn expire(&self, received_before: SystemTime) {
        self.0.queue.expire(received_before);
        let is_old = |received: SystemTime| received < received_before;
        self.0.lose_buffered(Reason::Expired, is_old);
    }

    fn abandon(&self, reason: Reason) {
        if reason == Reason::Shutdown && self.0.parts.will_close() {
            self.0.queue.close(Reason::Shutdown);
            self.0.enter(Phase::Finishing);
        } else {
            self.0.abandon(reason);
        }
    }

    fn purge(&self) -> Tally {
        let mut purged = self.0.queue.purge();
        purged += self.0.lose_buffered(Reason::Admin, |_| true);
        purged
    }

    fn oldest(&self) -> Option<SystemTime> {
        let oldest = self.0.queue.oldest().into_iter();
        oldest.chain(self.0.shelf.oldest()).min()
    }
}

impl SharedConsumer {
    /// Leases a record in memory or a received one: the first of `filters` that either passes decides, then the one in
    /// memory comes first. `None`: no received record passes.
    fn lease_either(&self, filters: &[LeaseFilter]) -> Option<Lease> {
        let Self(target) = self;
        let index = target.shelf.first_match(filters)?;
        let first = filters.get(..=index)?;
        if let TakeResult::Leased(leased) = target.queue.take(first, 0) {
            return Some(memory_lease(&target.queue, leased));
        }
        let received = target.shelf.lease(first.last()?)?;
        Some(lease(target, received))
    }
}

/// The surfaces of whose backlog `filters` ask for a record, before the lane of the record that was found.
fn unmet(filters: &[LeaseFilter], found: Option<Lane>) -> Surfaces {
    let mut surfaces = Surfaces::NONE;
    for filter in filters {
        if Some(filter.lane) == found {
            break;
        }
        if filter.lane == Lane::Backlog && !filter.deferred {
            surfaces = surfaces.union(filter.surfaces);
        }
    }
    surfaces
}
