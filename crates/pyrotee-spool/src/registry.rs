//! Changes the list of targets of a running spool.

use std::sync::Arc;

use pyrotee_queue::{
    Consumer, OpenQueue, QueueId, Reason, Registry, TargetQueue, lock, shed_oldest,
};
use pyrotee_segments::unix_seconds;

use crate::backend::SpoolConsumer;
use crate::reader::RunningSpool;
use crate::shared::Shared;
use crate::spool_queue::{AllQueues, InForce, SpoolQueue};

/// Changes the list of targets. It keeps the threads of the spool running.
#[derive(Debug)]
pub(crate) struct SpoolRegistry(pub(crate) Arc<RunningSpool>);

impl Registry for SpoolRegistry {
    fn put_in_force(&self, targets: &[TargetQueue]) -> Vec<OpenQueue> {
        let opened = self.0.shared.put_in_force(targets).into_iter();
        let open = opened.map(|(index, queue)| {
            let consumer = SpoolConsumer::new(Arc::clone(&self.0), index, Arc::clone(&queue));
            OpenQueue {
                id: QueueId(index),
                ledger: Arc::clone(queue.queue.ledger()),
                consumer: Arc::new(consumer) as Arc<dyn Consumer>,
            }
        });
        open.collect()
    }

    /// No record is dropped: the records wait for a day, or for the return of the target. Consumers that were handed
    /// out lease no more, so that a replay or the deliverer of a target that returns leases alone.
    fn end_draining(&self, queue: QueueId) {
        let shared = &self.0.shared;
        let _names = lock(&shared.names);
        let is_in_force = lock(&shared.intake).in_force.contains(queue.0);
        if let Some(queue) = shared.queue(queue.0).filter(|_| !is_in_force) {
            queue.end_delivery();
            // A careful process may have waited for a record of this target.
            shared.tracker.wakeup.notify();
        }
    }

    fn shed_removed(&self, bytes: u64) {
        let shared = &self.0.shared;
        let _names = lock(&shared.names);
        let in_force = Arc::clone(&lock(&shared.intake).in_force);
        let removed = shared.queues_outside(&in_force).into_iter();
        let removed: Vec<_> = removed.map(|it| Arc::clone(&it.queue)).collect();
        shed_oldest(&removed, bytes, Reason::TargetRemoved);
    }
}

impl Shared {
    /// Replaces the list of targets. Returns their queues, each with its index, in the order of `targets`.
    pub(crate) fn put_in_force(&self, targets: &[TargetQueue]) -> Vec<(usize, Arc<SpoolQueue>)> {
        let mut names = lock(&self.names);
        let mut queues = AllQueues::clone(&self.all_queues());
        let mut joining = Vec::new();
        let mut opened = Vec::with_capacity(targets.len());
        for target in targets {
            let next = queues.len();
            let index = *names.entry(target.name.clone()).or_insert(next);
            let queue = queues.get(index).cloned().unwrap_or_else(|| {
                let queue = Arc::new(SpoolQueue::of(target, self.clock.clone()));
                queues.push(Arc::clone(&queue));
                let id = self.tracker.with(|tracker| tracker.id_of(&target.name));
                joining.push((target.name.clone(), id));
                self.lives.hold_back_new(&queue.queue);
                queue
            });
            opened.push((index, queue));
        }
        let in_force = Arc::new(InForce::new(opened.clone()));
        let (mut before, queues) = (Arc::clone(&in_force), Arc::new(queues));
        let now = unix_seconds(self.clock.now());

        let mut intake = lock(&self.intake);
        // Before the queues are in the list: a record must find its queue open, with the limits that apply.
        for (target, (_, queue)) in targets.iter().zip(&opened) {
            queue.queue.reopen(target.limits);
            queue.queue.limit_records(intake.memory_only);
        }
        let next = intake.next;
        self.tracker.with(|tracker| {
            tracker.put_in_force(joining, |index| in_force.contains(index), next, now)
        });
        self.queues.store(queues);
        std::mem::swap(&mut intake.in_force, &mut before);
        let stays_closed = intake.is_complete || intake.closing;
        drop(intake);

        for (_, queue) in &opened {
            queue.begin_delivery();
        }
        for queue in self.queues_outside(&in_force) {
            queue.queue.close(Reason::TargetRemoved);
        }
        if stays_closed {
            self.close_queues();
        }
        drop(names);
        self.tracker.wakeup.notify();
        opened
    }

    /// The queues of the targets that are not in the list.
    fn queues_outside(&self, in_force: &InForce) -> Vec<Arc<SpoolQueue>> {
        let queues = self.all_queues();
        let removed = queues.iter().enumerate();
        let removed = removed.filter(|(index, _)| !in_force.contains(*index));
        removed.map(|(_, queue)| Arc::clone(queue)).collect()
    }
}
