//! When loops scrape, and that none delays another.

use std::collections::BTreeMap;
use std::time::Duration;

use pyrotee_scrape_config::Limits;
use tokio::time::Instant;

use super::support::{INTERVAL, Reply, World, cpu, cpu_target, job, response, target};
use crate::Health;

#[tokio::test(start_paused = true)]
async fn hosts_have_phases_of_their_own_and_keep_them() {
    let world = World::new(|_| Reply::Now(response(&cpu())));
    let started = Instant::now();
    let targets = (0..20).map(|n| target(&format!("host{n}:1"), "goroutines"));
    world.discover("shop", targets.collect());
    world.apply(vec![job("shop")], Limits::default());
    world.rounds(3).await;
    let mut times: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for request in world.app.requests() {
        let times = times.entry(request.host).or_default();
        times.push(request.at - started);
    }
    let first: Vec<_> = times.values().map(|times| times[0]).collect();
    let early = first.iter().filter(|it| **it < INTERVAL / 2).count();
    assert!((4..=16).contains(&early), "{first:?}");
    for times in times.values() {
        let gaps: Vec<_> = times.windows(2).map(|it| it[1] - it[0]).collect();
        assert_eq!(gaps, [INTERVAL; 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn applications_that_hang_or_collect_delay_no_other() {
    let drip = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let world = World::new(move |head| match head.host.as_str() {
        host if host.starts_with("hang") => Reply::Hang,
        host if host.starts_with("drip") => {
            Reply::Drip(drip.to_vec(), Duration::from_millis(50), vec![0])
        }
        host if host.starts_with("cpu") => Reply::After(INTERVAL, response(&cpu())),
        _ => Reply::Now(response(&cpu())),
    });
    let mut targets = Vec::new();
    for n in 0..10 {
        targets.push(target(&format!("hang{n}:1"), "goroutines"));
        targets.push(target(&format!("drip{n}:1"), "goroutines"));
        targets.push(cpu_target(&format!("cpu{n}:1")));
        targets.push(target(&format!("good{n}:1"), "goroutines"));
    }
    world.discover("shop", targets);
    let limits = Limits {
        max_concurrent: 2,
        ..Limits::default()
    };
    world.apply(vec![job("shop")], limits);
    world.rounds(4).await;
    for status in world.scraper.snapshot() {
        let host = status.url.split('/').nth(2).unwrap();
        match host.trim_end_matches(|it: char| it == ':' || it.is_ascii_digit()) {
            "good" => {
                assert_eq!(status.health, Health::Up, "{status:?}");
                assert!(status.last_duration.unwrap() < INTERVAL / 5, "{status:?}");
                let requests = world.app.requests();
                assert_eq!(requests.iter().filter(|it| it.host == host).count(), 4);
            }
            "cpu" => assert_eq!(status.health, Health::Up, "{status:?}"),
            _ => assert_eq!(status.health, Health::Down, "{status:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_has_one_request_at_a_time_and_leaves_out_times_that_passed() {
    let world = World::new(|_| Reply::After(INTERVAL * 5 / 2, response(&cpu())));
    let mut target = target("slow:1", "goroutines");
    target.timeout = INTERVAL * 3;
    world.scrape(target);
    world.rounds(11).await;
    let requests = world.app.requests();
    let gaps = requests.windows(2).map(|it| it[1].at - it[0].at);
    let gaps: Vec<_> = gaps.collect();
    assert!(gaps.iter().all(|gap| *gap >= INTERVAL * 5 / 2), "{gaps:?}");
    assert!(gaps.len() >= 3, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_requests_and_lets_a_profile_be_sent() {
    let world = World::new(|head| match head.host.as_str() {
        "cpu:1" => Reply::After(INTERVAL, response(&cpu())),
        _ => Reply::Now(response(&cpu())),
    });
    world.discover(
        "shop",
        vec![cpu_target("cpu:1"), target("sends:1", "goroutines")],
    );
    *world.relay.respond.lock().unwrap() = Some(Ok((200, Duration::from_millis(500))));
    world.apply(vec![job("shop")], Limits::default());
    let sending = async || {
        while world.app.requests().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    sending().await;
    let stopped = Instant::now();
    world.scraper.stop().await;
    assert!(stopped.elapsed() <= Duration::from_millis(500));
    world.rounds(3).await;
    assert!(world.relay.sent().len() <= 1);
    assert_eq!(world.app.requests().len(), 2);
    let snapshot = world.scraper.snapshot();
    assert!(
        snapshot.iter().all(|it| it.health != Health::Down),
        "{snapshot:?}"
    );

    // A relay that does not respond does not hold the stop up either.
    let world = World::new(|_| Reply::Now(response(&cpu())));
    *world.relay.respond.lock().unwrap() = Some(Ok((200, Duration::from_secs(80))));
    world.scrape(target("sends:1", "goroutines"));
    world.rounds(1).await;
    let stopped = Instant::now();
    world.scraper.stop().await;
    assert_eq!(stopped.elapsed(), Duration::from_secs(2));
}
