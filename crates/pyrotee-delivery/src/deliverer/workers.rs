//! The workers of one target. Each worker has its own task and connection, and keeps both while it is assigned
//! records.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::{Part, lock};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::uploader::{Assignment, Uploader};
use crate::connection::{Connection, Endpoint};
use crate::route::Route;

/// A worker ends, and closes its connection, after this time without an assignment. Old Pyroscopes close idle
/// connections after 30 s; the shorter time here keeps connections from going stale.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The workers of one target: as many as were busy at once within the last [`IDLE_TIMEOUT`].
#[derive(Debug)]
pub(super) struct Workers {
    uploader: Arc<Uploader>,
    idle: Arc<IdleWorkers>,
    tasks: JoinSet<()>,
    /// The server of the route in force. Connections of idle workers lead to it.
    endpoint: Arc<Endpoint>,
}

impl Workers {
    pub(super) fn new(uploader: &Arc<Uploader>) -> Self {
        Self {
            uploader: Arc::clone(uploader),
            idle: Arc::default(),
            tasks: JoinSet::new(),
            endpoint: Arc::clone(uploader.routes.in_force().client.endpoint()),
        }
    }

    /// Follows a change of the route in force: ends the idle workers if the route leads to another server.
    pub(super) fn follow(&mut self, route: &Route) {
        let endpoint = route.client.endpoint();
        if !Arc::ptr_eq(&self.endpoint, endpoint) {
            self.endpoint = Arc::clone(endpoint);
            self.idle.dismiss();
        }
    }

    /// Gives the assignment to the idle worker that was busy last, since its connection is the least likely to be
    /// stale, or to a new worker.
    pub(super) fn assign(&mut self, assignment: Assignment) {
        let Some(assignment) = self.idle.assign(assignment) else {
            return;
        };
        // Collect the workers that have ended.
        while self.tasks.try_join_next().is_some() {}
        let (uploader, idle) = (Arc::clone(&self.uploader), Arc::clone(&self.idle));
        self.tasks.spawn(async move {
            // Boxed, because `catch_future` would hold the bytes of the future twice.
            let working = Box::pin(work(&uploader, &idle, assignment));
            let supervisor = &uploader.supervisor;
            // A panic ends the worker and its connection. The next assignment gets a new worker.
            supervisor.catch_future(Part::Deliverer, working).await.ok();
        });
    }

    /// Ends the idle workers, and waits for the busy ones.
    pub(super) async fn finish(&mut self) {
        self.idle.close();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Aborts all workers. Their leases are released.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn work(uploader: &Uploader, idle: &IdleWorkers, mut assignment: Assignment) {
    let mut connection: Option<Box<Connection>> = None;
    loop {
        let endpoint = assignment.route.client.endpoint();
        if let Some(old) = connection.take_if(|kept| !kept.leads_to(endpoint)) {
            old.close().await;
        }
        uploader.deliver(assignment, &mut connection).await;
        // Without a connection this worker has no advantage over a new one.
        let Some(kept) = &mut connection else { return };
        if !uploader.routes.uses(kept) {
            break;
        }
        match idle.wait(kept).await {
            Some(next) => assignment = next,
            None => break,
        }
    }
    if let Some(connection) = connection {
        connection.close().await;
    }
}

/// The workers that wait for an assignment.
#[derive(Debug)]
struct IdleWorkers {
    /// A stack: the worker that was busy last is assigned first. `None` after the queue has ended.
    waiting: Mutex<Option<Vec<oneshot::Sender<Assignment>>>>,
}

impl Default for IdleWorkers {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Some(Vec::new())),
        }
    }
}

impl IdleWorkers {
    /// Gives `assignment` to an idle worker; returns the assignment if no worker is idle.
    fn assign(&self, mut assignment: Assignment) -> Option<Assignment> {
        loop {
            let Some(worker) = self.with(Vec::pop).flatten() else {
                return Some(assignment);
            };
            match worker.send(assignment) {
                Ok(()) => return None,
                // The worker has ended.
                Err(returned) => assignment = returned,
            }
        }
    }

    /// Waits for the next assignment; `None` after [`IDLE_TIMEOUT`], or if the target closes the connection.
    async fn wait(&self, connection: &mut Connection) -> Option<Assignment> {
        let (worker, mut assigned) = oneshot::channel();
        self.with(|waiting| waiting.push(worker))?;
        let next = timeout(IDLE_TIMEOUT, async {
            tokio::select! {
                biased;
                next = &mut assigned => next.ok(),
                () = connection.closed() => None,
            }
        });
        if let Ok(Some(next)) = next.await {
            return Some(next);
        }
        // An assignment may have been sent meanwhile.
        assigned.close();
        assigned.try_recv().ok()
    }

    /// Ends the workers that are idle now.
    fn dismiss(&self) {
        // Dropped after the lock is released: this wakes the workers.
        drop(self.with(std::mem::take));
    }

    fn close(&self) {
        *lock(&self.waiting) = None;
    }

    fn with<T>(
        &self,
        change: impl FnOnce(&mut Vec<oneshot::Sender<Assignment>>) -> T,
    ) -> Option<T> {
        lock(&self.waiting).as_mut().map(change)
    }
}
