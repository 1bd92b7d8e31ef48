//! The tasks of the discoveries of a job.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::Part;
use pyrotee_scrape_config::Job;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::collection::Collection;
use super::mechanism::Mechanism;
use super::metrics::MechanismMetrics;
use super::sources::{FileSource, HttpSource, Reporter, Update};
use super::{Context, Discovered};

/// Shortest time between two changes that are handed on: a deployment changes many addresses, one after the other.
const BETWEEN_CHANGES: Duration = Duration::from_secs(5);

/// Time before a task that panicked begins anew.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Starts the discoveries of a job. The addresses of the configuration are there at once. The tasks end with
/// `context.stop`.
pub(crate) fn start(job: &Arc<Job>, context: Context) -> watch::Receiver<Arc<Discovered>> {
    let files = job.file_discoveries.iter().map(|_| Mechanism::File);
    let servers = job.http_discoveries.iter().map(|_| Mechanism::Http);
    let mechanisms: Vec<_> = files.chain(servers).collect();
    let collection = Collection::new(job, &mechanisms, &context);
    let (sender, receiver) = watch::channel(Arc::new(collection.discovered()));
    if mechanisms.is_empty() {
        return receiver;
    }

    let (updates, received) = mpsc::channel(mechanisms.len());
    let reporters = mechanisms.iter().enumerate();
    let mut reporters = reporters.map(|(source, &mechanism)| Reporter {
        job: job.name.as_str().into(),
        source,
        updates: updates.clone(),
        metrics: MechanismMetrics::new(&job.name, mechanism),
        clock: context.clock.clone(),
        last_error: None,
    });
    for (discovery, reporter) in job.file_discoveries.iter().zip(&mut reporters) {
        let (discovery, supervisor) = (discovery.clone(), context.supervisor.clone());
        let follow = move || FileSource::new(&discovery, &supervisor).follow(reporter.clone());
        spawn(&context, follow);
    }
    for (discovery, reporter) in job.http_discoveries.iter().zip(&mut reporters) {
        let (discovery, connector) = (discovery.clone(), context.connector.clone());
        let follow = move || HttpSource::new(&discovery, &connector).follow(reporter.clone());
        spawn(&context, follow);
    }
    let collecting = collect(collection, received, sender);
    let Context {
        stop,
        supervisor,
        tasks,
        ..
    } = context;
    tasks.spawn(async move {
        let collecting = supervisor.catch_future(Part::Scrape, collecting);
        // A panic ends the updates of the job: its loops go on with the scrape targets that they have.
        let _panic_is_counted = stop.run_until_cancelled(collecting).await;
    });
    receiver
}

/// Runs what `follow` makes until `context.stop`, and makes it anew after a panic.
fn spawn<F: Future<Output = ()> + Send + 'static>(
    context: &Context,
    follow: impl Fn() -> F + Send + 'static,
) {
    let (stop, supervisor) = (context.stop.clone(), context.supervisor.clone());
    let following = async move {
        while supervisor
            .catch_future(Part::Scrape, follow())
            .await
            .is_err()
        {
            sleep(AFTER_PANIC).await;
        }
    };
    context.tasks.spawn(async move {
        let _ended_or_stopped = stop.run_until_cancelled(following).await;
    });
}

/// Hands on what the sources have found: the first time at once, and then after [`BETWEEN_CHANGES`] at the earliest.
async fn collect(
    mut collection: Collection,
    mut received: mpsc::Receiver<Update>,
    sender: watch::Sender<Arc<Discovered>>,
) {
    let mut next = Instant::now();
    while let Some(update) = received.recv().await {
        collection.update(update);
        while let Ok(Some(update)) = timeout_at(next, received.recv()).await {
            collection.update(update);
        }
        let discovered = collection.discovered();
        let is_new = sender.send_if_modified(|before| {
            let is_new = **before != discovered;
            if is_new {
                *before = Arc::new(discovered);
            }
            is_new
        });
        if is_new {
            collection.handed_on();
            next = Instant::now() + BETWEEN_CHANGES;
        }
    }
}

#[cfg(test)]
mod tests;
