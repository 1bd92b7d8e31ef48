//! Those who upload: each has a task and a connection of its own, and keeps both for a while.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::{Lease, lock};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::deliver::Deliverer;
use crate::connection::Connection;
use crate::flow::Permit;

/// Idle connections are given up before the target does: old Pyroscopes close at 30 s.
const IDLE: Duration = Duration::from_secs(20);

/// One record, and the right to upload it.
type Job = (Lease, Permit);

/// The workers of one target. There are as many as were ever busy at once within the last while.
#[derive(Debug)]
pub(super) struct Workers {
    deliverer: Arc<Deliverer>,
    idle: Arc<Idle>,
    tasks: JoinSet<()>,
}

impl Workers {
    pub(super) fn new(deliverer: &Arc<Deliverer>) -> Self {
        Self {
            deliverer: Arc::clone(deliverer),
            idle: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Lets a worker do it: the one that was busy last, whose connection is the likeliest to stand, or a
    /// new one.
    pub(super) fn give(&mut self, job: Job) {
        let Some(job) = self.idle.wake(job) else {
            return;
        };
        // Those that have ended meanwhile. One that panicked has given back what it held.
        while self.tasks.try_join_next().is_some() {}
        let (deliverer, idle) = (Arc::clone(&self.deliverer), Arc::clone(&self.idle));
        self.tasks
            .spawn(async move { work(&deliverer, &idle, job).await });
    }

    /// Waits for those who are busy; the others go.
    pub(super) async fn end(&mut self) {
        self.idle.close();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Ends them where they are. Their leases are released.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn work(deliverer: &Deliverer, idle: &Idle, mut job: Job) {
    let mut connection = None;
    loop {
        let (lease, permit) = job;
        deliverer.deliver(lease, permit, &mut connection).await;
        // Without a connection a new worker is as good.
        let Some(kept) = &mut connection else { return };
        match idle.rest(kept).await {
            Some(next) => job = next,
            None => break,
        }
    }
    if let Some(connection) = connection {
        connection.close().await;
    }
}

/// Workers that wait for something to do.
#[derive(Debug)]
struct Idle {
    /// The last one goes first; `None` once there will be nothing more.
    waiting: Mutex<Option<Vec<oneshot::Sender<Job>>>>,
}

impl Default for Idle {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Some(Vec::new())),
        }
    }
}

impl Idle {
    /// Hands `job` to one that waits, or back.
    fn wake(&self, mut job: Job) -> Option<Job> {
        loop {
            let Some(worker) = self.with(Vec::pop).flatten() else {
                return Some(job);
            };
            match worker.send(job) {
                Ok(()) => return None,
                // That one has gone.
                Err(back) => job = back,
            }
        }
    }

    /// Waits for the next job, as long as the connection is good for one.
    async fn rest(&self, connection: &mut Connection) -> Option<Job> {
        let (worker, mut job) = oneshot::channel();
        self.with(|idle| idle.push(worker))?;
        let next = timeout(IDLE, async {
            tokio::select! {
                biased;
                next = &mut job => next.ok(),
                () = connection.closed() => None,
            }
        });
        if let Ok(Some(next)) = next.await {
            return Some(next);
        }
        // One may have been on its way.
        job.close();
        job.try_recv().ok()
    }

    fn close(&self) {
        *lock(&self.waiting) = None;
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<oneshot::Sender<Job>>) -> T) -> Option<T> {
        lock(&self.waiting).as_mut().map(change)
    }
}
