//! Opens the backend.

use std::sync::Arc;

use pyrotee_queue::{
    Budget, OfferResult, OpenQueue, Producer, QueueId, Reason, Record, Registry, TargetQueue,
    open_memory_with,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::closer::Closer;
use crate::control::Control;
use crate::fleet::Fleet;
use crate::link::Link;
use crate::monitor::Monitor;
use crate::pace::Pace;
use crate::parts::Parts;
use crate::settings::Settings;

/// A running backend whose backlog is shared.
#[derive(Debug)]
pub struct Opened {
    /// Takes records in, for all targets.
    pub producer: Arc<dyn Producer>,
    /// Changes the list of targets.
    pub registry: Arc<dyn Registry>,
    /// The queues of the first list, in its order.
    pub queues: Vec<OpenQueue>,
    /// Gauges and counters.
    pub monitor: Monitor,
    /// Changes the streams.
    pub control: Control,
    /// Closes the backend.
    pub closer: Closer,
    /// The relays that share the backlog.
    pub fleet: Fleet,
}

impl Settings {
    /// Opens the backend. Records are in memory until NATS is connected, which is not waited for. `budget` is charged for
    /// what is received and published. Must be called on a tokio runtime, on which the tasks of the backend run.
    pub fn open(
        self,
        targets: impl IntoIterator<Item = TargetQueue>,
        budget: &Arc<Budget>,
    ) -> Opened {
        self.open_with(Pace::default(), targets, budget)
    }

    pub(crate) fn open_with(
        self,
        pace: Pace,
        targets: impl IntoIterator<Item = TargetQueue>,
        budget: &Arc<Budget>,
    ) -> Opened {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        // The connection outlives the tasks that use it.
        let (link_tasks, link_stop) = (TaskTracker::new(), CancellationToken::new());
        let link = Link::start(&self, &link_tasks, link_stop.clone());
        let fleet = Fleet::start(&self, &link, &tasks, &stop);
        let exists = Arc::new(());
        let closer = Arc::downgrade(&exists);
        let parts = Parts::new(self, pace, link, budget, closer);
        let backend = Arc::new(Backend::new(parts, tasks, stop));
        let of_consumers = Arc::clone(&backend);
        let opened = open_memory_with(targets, move |opened| of_consumers.consumer(opened));
        Opened {
            producer: Arc::new(SharedProducer {
                producer: opened.producer,
                gone: Gone(Arc::clone(&backend)),
            }),
            registry: Arc::new(SharedRegistry {
                registry: opened.registry,
                backend: Arc::clone(&backend),
            }),
            queues: opened.queues,
            monitor: Monitor {
                backend: Arc::clone(&backend),
                fleet: fleet.clone(),
            },
            control: Control {
                backend: Arc::clone(&backend),
            },
            closer: Closer {
                backend,
                link_tasks,
                link_stop,
                _exists: exists,
            },
            fleet,
        }
    }
}

/// The producer of the queues in memory.
#[derive(Debug)]
struct SharedProducer {
    producer: Arc<dyn Producer>,
    /// Dropped after the producer, when all queues are closed.
    #[expect(dead_code, reason = "it acts when it is dropped")]
    gone: Gone,
}

/// Tells the targets that the producer is gone.
#[derive(Debug)]
struct Gone(Arc<Backend>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.producer_is_gone();
    }
}

impl Producer for SharedProducer {
    fn offer(&self, record: &Arc<Record>) -> OfferResult {
        self.producer.offer(record)
    }

    fn offer_to_target(&self, target: QueueId, record: &Arc<Record>) -> OfferResult {
        self.producer.offer_to_target(target, record)
    }

    fn refuse(&self, bytes: u64, reason: Reason) {
        self.producer.refuse(bytes, reason);
    }
}

/// The registry of the queues in memory.
#[derive(Debug)]
struct SharedRegistry {
    registry: Arc<dyn Registry>,
    backend: Arc<Backend>,
}

impl Registry for SharedRegistry {
    fn put_in_force(&self, targets: &[TargetQueue]) -> Vec<OpenQueue> {
        let queues = self.registry.put_in_force(targets);
        let in_force: Vec<_> = queues.iter().map(|queue| queue.id).collect();
        self.backend.keep_only(&in_force);
        queues
    }

    fn end_draining(&self, queue: QueueId) {
        self.registry.end_draining(queue);
    }

    fn shed_removed(&self, bytes: u64) {
        self.registry.shed_removed(bytes);
    }
}
