//! What a changed configuration and changed scrape targets keep.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, HeaderValue};
use pyroscope_wire::scrape::Group;
use pyrotee_scrape_config::{Job, Limits, Scrape};

use super::support::{Heap, INTERVAL, Reply, World, job, response, target};
use crate::Health;

/// A world with one loop that has a baseline.
async fn with_baseline() -> World {
    let total = AtomicI64::new(0);
    let world = World::new(move |_| {
        let total = total.fetch_add(1, Ordering::Relaxed);
        Reply::Now(response(&Heap::of(&[(1, total, 0)]).gzip()))
    });
    world.scrape(target("cart:6060", "mem"));
    world.rounds(1).await;
    assert!(world.relay.sent().is_empty());
    world
}

/// Whether the loop had its baseline still when the next profile came.
async fn keeps_baseline(world: &World, job: Job) -> bool {
    world.apply(vec![job], Limits::default());
    world.relay.take();
    world.rounds(1).await;
    !world.relay.take().is_empty()
}

#[tokio::test(start_paused = true)]
async fn a_job_that_scrapes_the_same_keeps_its_baselines() {
    let world = with_baseline().await;
    assert!(keeps_baseline(&world, job("shop")).await);
    let mut with_group = job("shop");
    with_group.static_groups.push(Group::default());
    assert!(keeps_baseline(&world, with_group).await);
    let mut with_token = job("shop");
    with_token.client.authorization = Some(HeaderValue::from_static("Bearer new"));
    assert!(keeps_baseline(&world, with_token).await);
    let requests = world.app.requests();
    let token = requests.last().unwrap().header("authorization");
    assert_eq!(token.unwrap(), "Bearer new");

    let mut slower = job("shop");
    slower.max_body = Some(1 << 20);
    assert!(!keeps_baseline(&world, slower).await);
}

#[tokio::test(start_paused = true)]
async fn the_loops_of_a_removed_job_end() {
    let world = with_baseline().await;
    world.apply(Vec::new(), Limits::default());
    let requests = world.app.requests().len();
    world.rounds(3).await;
    assert_eq!(world.app.requests().len(), requests);
    assert!(world.scraper.snapshot().is_empty() && world.scraper.jobs().is_empty());
    assert!(!keeps_baseline(&world, job("shop")).await);
    assert_eq!(world.scraper.jobs(), ["shop"]);
}

#[tokio::test(start_paused = true)]
async fn discoveries_keep_loops_with_equal_labels_and_url() {
    let world = with_baseline().await;
    let mut same = target("cart:6060", "mem");
    let meta = ("__meta_filepath".to_owned(), "b.json".to_owned());
    same.discovered.extend([meta.clone()]);
    world.discover("shop", vec![same, target("other:1", "mem")]);
    world.rounds(1).await;
    assert_eq!(world.relay.take().len(), 1);
    let snapshot = world.scraper.snapshot();
    let of_same = snapshot.iter().find(|it| it.url.contains("cart")).unwrap();
    assert_eq!(of_same.discovered_labels.get(&meta.0), Some(&meta.1));

    let mut relabelled = target("cart:6060", "mem");
    relabelled
        .labels
        .insert("env".to_owned(), "prod".to_owned());
    world.discover("shop", vec![relabelled]);
    world.rounds(1).await;
    assert!(world.relay.take().is_empty(), "a new loop");
    assert_eq!(world.status().labels["env"], "prod");
    assert!(!world.status().labels.contains_key("__name__"));
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_was_changed_is_used() {
    let world = World::new(|head| match head.header("authorization").as_deref() {
        Some("Bearer new") => Reply::Now(response(&Heap::of(&[(1, 1, 1)]).gzip())),
        _ => Reply::Now(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_vec()),
    });
    world.scrape(target("cart:6060", "goroutines"));
    world.rounds(1).await;
    assert_eq!(world.status().health, Health::Down);
    let mut new = job("shop");
    new.client.authorization = Some(HeaderValue::from_static("Bearer new"));
    world.apply(vec![new], Limits::default());
    world.rounds(1).await;
    assert_eq!(world.status().health, Health::Up);
    assert_eq!(
        world.status().last_duration.map(|it| it < INTERVAL),
        Some(true)
    );
}

#[tokio::test(start_paused = true)]
async fn the_headers_of_the_configuration_are_sent_and_can_change() {
    let world = World::new(|_| Reply::Now(response(&Heap::of(&[(1, 1, 1)]).gzip())));
    world.discover("shop", vec![target("cart:6060", "goroutines")]);
    for tenant in ["a", "b"] {
        let mut headers = HeaderMap::new();
        headers.insert("x-scope-orgid", HeaderValue::from_static(tenant));
        world.scraper.apply(&Scrape {
            jobs: vec![job("shop")],
            headers,
            ..Scrape::default()
        });
        world.rounds(1).await;
        let sent = world.relay.take();
        assert_eq!(sent.last().unwrap().headers["x-scope-orgid"], tenant);
    }
}
