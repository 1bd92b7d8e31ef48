use pyrotee_net::Connector;
use pyrotee_queue::{Supervisor, WallClock};
use pyrotee_scrape_config::{HttpClientSettings, HttpDiscovery};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::target::tests::{group, job};

fn context() -> Context {
    Context {
        connector: Connector::in_process(|| Err(std::io::ErrorKind::ConnectionRefused.into())),
        own: Arc::new([]),
        max_targets: 100,
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        supervisor: Supervisor::default(),
        clock: WallClock::system(),
    }
}

fn addresses(found: &watch::Receiver<Arc<Discovered>>) -> usize {
    found.borrow().targets.len()
}

fn update(source: usize, addresses: &[&str]) -> Update {
    Update {
        source,
        groups: Some(vec![group(addresses, &[])]),
        error: None,
    }
}

#[tokio::test(start_paused = true)]
async fn static_addresses_are_there_at_once_and_a_failing_server_takes_nothing_away() {
    let mut job = job(&["mem"]);
    job.static_groups = vec![group(&["h1"], &[])];
    let alone = start(&Arc::new(job.clone()), context());
    assert_eq!(addresses(&alone), 1);
    assert!(alone.borrow().is_complete);

    job.http_discoveries = vec![HttpDiscovery {
        url: "http://sd.example/".parse().unwrap(),
        interval: Duration::from_secs(60),
        client: HttpClientSettings::default(),
    }];
    let context = context();
    let (tasks, stop) = (context.tasks.clone(), context.stop.clone());
    let mut found = start(&Arc::new(job), context);
    assert_eq!(addresses(&found), 1);
    assert!(!found.borrow().is_complete);
    found.changed().await.unwrap();
    assert_eq!(addresses(&found), 1);
    assert!(found.borrow().is_complete);
    let reason = found.borrow().dropped[0].reason.clone();
    assert!(
        reason.starts_with("cannot use the list of http://sd.example/: "),
        "{reason}"
    );

    stop.cancel();
    tasks.close();
    tasks.wait().await;
    assert!(found.changed().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn changes_are_handed_on_at_most_every_five_seconds() {
    let mechanisms = [Mechanism::File, Mechanism::Http];
    let collection = Collection::new(&Arc::new(job(&["mem"])), &mechanisms, &context());
    let (updates, received) = mpsc::channel(2);
    let (sender, mut found) = watch::channel(Arc::new(collection.discovered()));
    tokio::spawn(collect(collection, received, sender));
    let begun = Instant::now();
    for (number, addresses) in [&["a"][..], &["a", "b"], &["a", "b", "c"]]
        .iter()
        .enumerate()
    {
        updates.send(update(0, addresses)).await.unwrap();
        updates.send(update(1, &["d"])).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        // The same again is no change.
        updates.send(update(1, &["d"])).await.unwrap();
        if number == 0 {
            found.changed().await.unwrap();
            assert!(begun.elapsed() <= Duration::from_secs(1));
        }
    }
    found.changed().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(addresses(&found), 4);
    drop(updates);
    assert!(found.changed().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_begins_anew() {
    let context = context();
    let (runs, mut seen) = mpsc::channel(10);
    spawn(&context, move || {
        let runs = runs.clone();
        async move {
            runs.send(Instant::now()).await.unwrap();
            panic!("a bug");
        }
    });
    let first = seen.recv().await.unwrap();
    let second = seen.recv().await.unwrap();
    assert_eq!(second - first, AFTER_PANIC);
    assert!(context.supervisor.panics(Part::Scrape) >= 1);
    context.stop.cancel();
    context.tasks.close();
    context.tasks.wait().await;
}
