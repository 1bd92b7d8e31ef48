//! What is sent of profiles with cumulative values.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::support::{Heap, Reply, World, cpu, cpu_target, gzip, response, target};
use crate::Health;

/// A world whose only application responds with these heap profiles, one after another.
fn heaps(heaps: &[Heap]) -> World {
    let bodies: Vec<_> = heaps.iter().map(|heap| response(&heap.gzip())).collect();
    replies(bodies)
}

fn replies(bodies: Vec<Vec<u8>>) -> World {
    let bodies = Mutex::new(bodies.into_iter());
    let world = World::new(move |_| match bodies.lock().unwrap().next() {
        Some(body) => Reply::Now(body),
        None => Reply::Hang,
    });
    world.scrape(target("cart:6060", "mem"));
    world
}

/// All that was sent, by location.
fn sent(world: &World) -> Vec<BTreeMap<u64, (i64, i64)>> {
    world.relay.sent().iter().map(|it| it.heap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cpu_profile_is_sent_byte_for_byte_with_its_name_and_times() {
    let world = World::new(|_| Reply::After(super::support::INTERVAL, response(&cpu())));
    world.scrape(cpu_target("cart:6060"));
    world.rounds(3).await;
    let sent = world.relay.sent();
    assert_eq!(sent[0].profile, cpu());
    assert_eq!(
        sent[0].config,
        r#"{"samples":{"display-name":"cpu","sampled":true,"units":"samples"}}"#
    );
    assert_eq!(
        sent[0].parameter("name"),
        "shop.cart{instance=cart:6060,job=shop}"
    );
    assert_eq!(sent[0].parameter("spyName"), "gospy");
    assert_eq!(sent[0].parameter("sampleRate"), "100");
    assert!(
        sent[0].headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("pyrotee/")
    );
    assert_eq!(sent[0].window(), (0.0, 10.0));
    assert_eq!(sent[1].window(), (10.0, 20.0));
    let status = world.status();
    assert_eq!((status.health, status.last_error), (Health::Up, None));
    let request = &world.app.requests()[0];
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("pyrotee/")
    );
    assert_eq!(request.header("accept-encoding"), None);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_is_not_compressed_stays_so_and_content_encoding_is_undone() {
    let plain = Heap::of(&[(1, 1, 1)]).plain();
    let coded = |coding: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let once = gzip(&plain);
    for (reply, expected) in [
        (response(&plain), &plain),
        (response(&once), &once),
        (coded("gzip", &once), &once),
        (coded("identity", &once), &once),
        (coded("gzip", &gzip(&once)), &once),
    ] {
        let world = World::new(move |_| Reply::Now(reply.clone()));
        world.scrape(target("cart:6060", "goroutines"));
        world.rounds(1).await;
        assert_eq!(
            world.relay.sent()[0].profile,
            *expected,
            "{:?}",
            world.status()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn cumulative_values_are_sent_as_deltas_and_the_first_profile_is_not() {
    let world = heaps(&[
        Heap::of(&[(1, 100, 5), (2, 40, 0)]),
        Heap::of(&[(1, 164, 6), (2, 40, 0), (3, 7, 0)]),
        Heap::of(&[(1, 164, 0), (2, 40, 0), (3, 7, 0)]),
        Heap::of(&[(1, 165, 0), (2, 40, 0), (3, 7, 0)]),
    ]);
    world.rounds(1).await;
    assert_eq!(sent(&world), []);
    assert_eq!(world.status().health, Health::Up);
    world.rounds(3).await;
    assert_eq!(
        sent(&world),
        [
            BTreeMap::from([(1, (64, 6)), (3, (7, 0))]),
            BTreeMap::from([(1, (1, 0))])
        ]
    );
    let sent = world.relay.sent();
    assert!(!sent[0].config.contains("cumulative"));
    assert!(sent[0].config.contains("alloc_space"));
    // Due after 10 s and before 20 s: the last whole slots of 10 s.
    assert_eq!(sent[0].window(), (0.0, 10.0));
    assert_eq!(sent[1].window(), (20.0, 30.0));
}

#[tokio::test(start_paused = true)]
async fn stacks_without_addresses_are_told_apart() {
    let heap = |stacks: &[(u64, i64, i64)]| Heap {
        has_no_addresses: true,
        ..Heap::of(stacks)
    };
    let world = heaps(&[
        heap(&[(1, 100, 0), (2, 7, 0)]),
        heap(&[(1, 101, 0), (2, 9, 0)]),
    ]);
    world.rounds(2).await;
    assert_eq!(sent(&world), [BTreeMap::from([(1, (1, 0)), (2, (2, 0))])]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_a_new_baseline_and_sends_nothing_negative() {
    let world = heaps(&[
        Heap::of(&[(1, 100, 5)]),
        Heap::of(&[(1, 3, 2), (2, 1, 0)]),
        Heap::of(&[(1, 4, 0), (2, 1, 0)]),
        Heap::of(&[(1, 1, 0)]),
    ]);
    world.rounds(3).await;
    let expected = [BTreeMap::from([(1, (0, 2))]), BTreeMap::from([(1, (1, 0))])];
    assert_eq!(sent(&world), expected);
    world.rounds(1).await;
    assert_eq!(
        world.status().last_error.unwrap(),
        "the application was restarted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_scrape_keeps_the_baseline() {
    let body = |heap: &[(u64, i64, i64)]| response(&Heap::of(heap).gzip());
    let cut = response(&Heap::of(&[(1, 999, 0)]).gzip()[..40]);
    let world = replies(vec![
        body(&[(1, 100, 0)]),
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec(),
        cut,
        body(&[(1, 130, 0)]),
    ]);
    world.rounds(3).await;
    assert_eq!(world.status().health, Health::Down);
    world.rounds(1).await;
    assert_eq!(sent(&world), [BTreeMap::from([(1, (30, 0))])]);
    assert_eq!(world.status().health, Health::Up);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_the_relay_refuses_is_not_sent_again() {
    let world = heaps(&[
        Heap::of(&[(1, 1, 0)]),
        Heap::of(&[(1, 3, 0)]),
        Heap::of(&[(1, 7, 0)]),
    ]);
    *world.relay.respond.lock().unwrap() = Some(Ok((422, std::time::Duration::ZERO)));
    world.rounds(2).await;
    assert_eq!(world.relay.take().len(), 1);
    let status = world.status();
    let error = status.last_error.unwrap();
    assert_eq!(status.health, Health::Up, "the application is fine");
    assert!(
        error.contains("422") && error.contains("some text"),
        "{error}"
    );
    *world.relay.respond.lock().unwrap() = None;
    world.rounds(1).await;
    assert_eq!(sent(&world), [BTreeMap::from([(1, (4, 0))])]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_scrape_and_its_loop_goes_on_with_a_new_baseline() {
    let world = heaps(&[
        Heap::of(&[(1, 1, 0)]),
        Heap::of(&[(1, 3, 0)]),
        Heap::of(&[(1, 7, 0)]),
        Heap::of(&[(1, 9, 0)]),
    ]);
    // No such status exists, and the stand-in panics.
    *world.relay.respond.lock().unwrap() = Some(Ok((0, std::time::Duration::ZERO)));
    world.rounds(2).await;
    let error = world.status().last_error.unwrap();
    assert!(error.contains("a bug of pyrotee"), "{error}");
    *world.relay.respond.lock().unwrap() = None;
    world.rounds(2).await;
    let sent: Vec<_> = world
        .relay
        .sent()
        .iter()
        .skip(1)
        .map(|it| it.heap())
        .collect();
    assert_eq!(sent, [BTreeMap::from([(1, (2, 0))])]);
}

#[tokio::test(start_paused = true)]
async fn a_profile_of_many_stacks_finds_the_memory_that_it_needs() {
    let heap = |alloc| {
        let stacks: Vec<_> = (1..=20_000).map(|it| (it, alloc, 0)).collect();
        Heap::of(&stacks)
    };
    let bodies = [heap(1), heap(3)].map(|heap| response(&heap.gzip()));
    let world = replies(bodies.to_vec());
    world.rounds(2).await;
    let sent = world.relay.sent();
    assert_eq!(sent.len(), 1, "{:?}", world.status());
    assert_eq!(sent[0].heap().len(), 20_000);
    assert!(sent[0].heap().values().all(|it| *it == (2, 0)));
}
