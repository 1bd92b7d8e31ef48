//! What happens at the limits of targets, state and memory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};

use pyrotee_scrape_config::Limits;

use super::support::{Heap, Reply, World, cpu, job, response, target};
use crate::Health;

/// A heap profile with `stacks` stacks, of which each grows with each request.
fn growing(stacks: u64) -> impl Fn() -> Heap {
    let total = AtomicI64::new(0);
    move || {
        let total = total.fetch_add(1, Ordering::Relaxed);
        let stacks: Vec<_> = (1..=stacks).map(|it| (it, total, 0)).collect();
        Heap::of(&stacks)
    }
}

fn by_health(world: &World, health: Health) -> BTreeSet<String> {
    let all = world.scraper.snapshot().into_iter();
    let all = all.filter(|it| it.health == health);
    all.map(|it| it.url).collect()
}

#[tokio::test(start_paused = true)]
async fn scrape_targets_beyond_max_targets_are_dropped_and_the_same_ones_stay() {
    let world = World::new(|_| Reply::Now(response(&cpu())));
    let hosts = |range: std::ops::Range<u32>| {
        let targets = range.map(|n| target(&format!("host{n}:1"), "goroutines"));
        targets.collect::<Vec<_>>()
    };
    let limits = Limits {
        max_targets: 3,
        ..Limits::default()
    };
    world.discover("shop", hosts(3..7));
    world.apply(vec![job("shop")], limits.clone());
    world.rounds(1).await;
    let up = by_health(&world, Health::Up);
    assert_eq!(up.len(), 3);
    assert_eq!(by_health(&world, Health::Dropped).len(), 1);
    // More are found, also by another job.
    world.discover("shop", hosts(0..9));
    world.discover("other", hosts(0..2));
    world.apply(vec![job("shop"), job("other")], limits);
    world.rounds(1).await;
    assert_eq!(by_health(&world, Health::Up), up);
    let snapshot = world.scraper.snapshot();
    let dropped = snapshot.iter().find(|it| it.health == Health::Dropped);
    let reason = dropped.unwrap().last_error.clone().unwrap();
    assert!(reason.contains("scrape.max-targets"), "{reason}");
    // One goes, and another takes its place.
    world.discover("shop", hosts(4..6));
    world.rounds(1).await;
    assert_eq!(by_health(&world, Health::Up).len(), 3);
    world.apply(vec![job("shop"), job("other")], Limits::default());
    world.rounds(1).await;
    assert_eq!(by_health(&world, Health::Dropped).len(), 0);
    assert_eq!(by_health(&world, Health::Up).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn at_the_state_limit_baselines_stay_and_new_loops_get_none() {
    let next = growing(100);
    let world = World::new(move |_| Reply::Now(response(&next().gzip())));
    world.discover("shop", vec![target("old:1", "mem")]);
    // 100 stacks take 100 × (16 + 8) bytes.
    let limits = Limits {
        state_limit: 4_000,
        ..Limits::default()
    };
    world.apply(vec![job("shop")], limits);
    world.rounds(1).await;
    let targets = ["old:1", "new:1", "new:2"].map(|host| target(host, "mem"));
    world.discover("shop", targets.to_vec());
    world.rounds(4).await;
    let sent = world.relay.sent();
    let from: BTreeSet<_> = sent.iter().map(|it| it.parameter("name")).collect();
    assert_eq!(from.len(), 1, "{from:?}");
    assert!(from.first().unwrap().contains("old:1") && sent.len() == 4);
    let snapshot = world.scraper.snapshot();
    let errors = snapshot.iter().filter_map(|it| it.last_error.as_deref());
    let errors: Vec<_> = errors.collect();
    assert_eq!(errors.len(), 2);
    assert!(
        errors.iter().all(|it| it.contains("scrape.state-limit")),
        "{errors:?}"
    );
    // The memory of a loop that ends is there for another one.
    world.discover("shop", vec![target("new:1", "mem")]);
    world.relay.take();
    world.rounds(2).await;
    assert_eq!(world.relay.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shortage_of_memory_skips_a_scrape_and_keeps_the_baseline() {
    let next = growing(10);
    let world = World::with_memory(1 << 20, move |_| Reply::Now(response(&next().gzip())));
    world.scrape(target("cart:6060", "mem"));
    world.rounds(1).await;
    let held = world.budget.reserve(world.budget.most_held()).unwrap();
    world.rounds(2).await;
    let status = world.status();
    assert!(status.last_error.unwrap().contains("memory-limit"));
    assert_eq!(status.health, Health::Up, "as before");
    drop(held);
    let space = world.budget.try_workspace(world.budget.largest_workspace());
    world.rounds(1).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(
        world
            .status()
            .last_error
            .unwrap()
            .contains("no room to unpack")
    );
    drop(space);
    assert!(world.relay.take().is_empty());
    world.rounds(1).await;
    let sent = world.relay.sent();
    let deltas = sent[0].heap();
    assert!(
        deltas.values().all(|(alloc, _)| *alloc == 4),
        "what was allocated while memory was short is in it: {deltas:?}"
    );
    assert_eq!((world.budget.receiving(), world.budget.unpacking()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_memory_can_never_unpack_says_so() {
    let world = World::with_memory(256 << 10, move |_| {
        let heap = growing(2_000)();
        Reply::Now(response(&heap.gzip()))
    });
    world.scrape(target("cart:6060", "mem"));
    world.rounds(1).await;
    let error = world.status().last_error.unwrap();
    assert!(
        error.contains("more than a quarter of memory-limit"),
        "{error}"
    );
}
