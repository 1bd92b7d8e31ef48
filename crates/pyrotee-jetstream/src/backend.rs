//! The targets whose backlog is shared, and their tasks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::{Consumer, MemoryQueue, Part, QueueId, Reason, lock, memory_consumer};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::consumer::SharedConsumer;
use crate::keep;
use crate::parts::Parts;
use crate::receive::Receiver;
use crate::target::{Phase, Target};
use crate::tunnel::Tunnel;

/// Time after which a task begins again that panicked.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// The targets whose backlog is shared, and their tasks.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) parts: Arc<Parts>,
    pub(crate) tasks: TaskTracker,
    /// Ends all tasks.
    pub(crate) stop: CancellationToken,
    /// The runtime of the tasks.
    runtime: Handle,
    targets: Mutex<BTreeMap<QueueId, Arc<Target>>>,
}

impl Backend {
    pub(crate) fn new(parts: Parts, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            parts: Arc::new(parts),
            tasks,
            stop,
            runtime: Handle::current(),
            targets: Mutex::default(),
        }
    }

    /// The consumer of a target that is put in force.
    pub(crate) fn consumer(self: &Arc<Self>, opened: MemoryQueue) -> Arc<dyn Consumer> {
        let Some(sharing) = opened.target.sharing.clone() else {
            self.remove(opened.id);
            return memory_consumer(opened.queue);
        };
        let mut targets = lock(&self.targets);
        let known = targets.get(&opened.id).cloned();
        let is_known = known.is_some();
        let target =
            known.unwrap_or_else(|| Arc::new(Target::new(&self.parts, &opened, sharing.clone())));
        targets.insert(opened.id, Arc::clone(&target));
        drop(targets);
        target.follow(sharing, opened.target.limits);
        if is_known {
            target.enter(Phase::InForce);
        } else {
            target.shelf.open();
            self.start(&target);
        }
        if target.queue.closed_for() == Some(Reason::Shutdown) {
            target.enter(Phase::Closing {
                from: Instant::now(),
            });
        }
        Arc::new(SharedConsumer(target))
    }

    /// All targets that are or were in force and shared.
    pub(crate) fn targets(&self) -> Vec<Arc<Target>> {
        lock(&self.targets).values().cloned().collect()
    }

    pub(crate) fn target(&self, name: &str) -> Option<Arc<Target>> {
        let targets = lock(&self.targets);
        targets.values().find(|it| it.name == name).cloned()
    }

    /// Ends the sharing of a target that is not in force any more, or not shared any more.
    fn remove(&self, id: QueueId) {
        let target = lock(&self.targets).get(&id).cloned();
        if let Some(target) = target {
            target.enter(Phase::Removed);
        }
    }

    /// Ends the sharing of the targets that are not in force any more.
    pub(crate) fn keep_only(&self, in_force: &[QueueId]) {
        let removed = self.targets().into_iter();
        for target in removed.filter(|it| !in_force.contains(&it.id)) {
            target.enter(Phase::Removed);
        }
    }

    /// The producer is gone: what is pending is delivered for a moment, then handed over.
    pub(crate) fn producer_is_gone(&self) {
        let from = Instant::now() + self.parts.pace.head_start;
        for target in self.targets() {
            if target.phase() == Phase::InForce {
                target.enter(Phase::Closing { from });
            }
        }
    }

    fn start(self: &Arc<Self>, target: &Arc<Target>) {
        let it = Arc::clone(target);
        self.run(move || keep::keep(Arc::clone(&it)));
        let it = Arc::clone(target);
        target.add_task(self.run(move || Tunnel::new(Arc::clone(&it)).run()));
        let it = Arc::clone(target);
        target.add_task(self.run(move || Receiver::new(Arc::clone(&it)).run()));
    }

    /// Runs a task of a target until it ends or the backend stops. A task that panics begins again.
    fn run<F>(&self, mut task: impl FnMut() -> F + Send + 'static) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, supervisor) = (self.stop.clone(), self.parts.settings.supervisor.clone());
        let running = async move {
            while supervisor.catch_future(Part::Shared, task()).await.is_err() {
                sleep(PAUSE_AFTER_PANIC).await;
            }
        };
        let running = async move {
            tokio::select! {
                () = running => {}
                () = stop.cancelled() => {}
            }
        };
        self.tasks.spawn_on(running, &self.runtime)
    }
}
