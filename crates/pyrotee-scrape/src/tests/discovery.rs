//! From a list of addresses to profiles in the relay.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::{Supervisor, WallClock};
use pyrotee_scrape_config::{HttpClientSettings, HttpDiscovery, Job, Limits, Scrape};

use super::support::{INTERVAL, Reply, World, cpu, job, response};
use crate::{Health, Parts, Scraper};

const SERVER: &str = "sd.example";

/// A job that scrapes goroutines of the addresses that the server lists.
fn listed() -> Job {
    let mut job = job("shop");
    job.profiles.retain(|name, _| name == "goroutines");
    job.http_discoveries = vec![HttpDiscovery {
        url: format!("http://{SERVER}/list").parse().unwrap(),
        interval: INTERVAL,
        client: HttpClientSettings::default(),
    }];
    job
}

fn list(addresses: &str) -> Vec<u8> {
    let json = format!(
        r#"[{{"application":"app","targets":[{addresses}],"labels":{{"app.kubernetes.io/part-of":"x"}}}}]"#
    );
    let length = json.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}")
        .into_bytes()
}

/// A scraper whose discoveries are real.
fn with_discovery(world: &World) -> Scraper {
    Scraper::start(Parts {
        connector: world.app.connector(),
        sender: Arc::clone(&world.relay) as _,
        budget: Arc::clone(&world.budget),
        supervisor: Supervisor::default(),
        own: Vec::new(),
        clock: WallClock::system(),
    })
}

fn scrape(max_targets: usize) -> Scrape {
    Scrape {
        jobs: vec![listed()],
        limits: Limits {
            max_targets,
            ..Limits::default()
        },
        ..Scrape::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_raised_counts_for_the_addresses_that_were_left_out() {
    // Addresses that are refused count as looked at: then no scrape target waits for room.
    for (addresses, before, after) in [
        (r#""h1:1","h2:1","h3:1","h4:1","h5:1""#, 1, 5),
        (r#""169.254.0.1:1","169.254.0.2:1","h1:1","h2:1""#, 0, 2),
    ] {
        let world = World::new(move |head| match head.host.as_str() {
            SERVER => Reply::Now(list(addresses)),
            _ => Reply::Now(response(&cpu())),
        });
        let scraper = with_discovery(&world);
        let up = || {
            let all = scraper.snapshot();
            all.iter().filter(|it| it.health == Health::Up).count()
        };
        scraper.apply(&scrape(1));
        world.rounds(2).await;
        assert_eq!(up(), before, "{addresses}");
        scraper.apply(&scrape(10));
        world.rounds(3).await;
        assert_eq!(up(), after, "{addresses}");
        scraper.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_lists_is_scraped_until_it_is_listed_no_longer() {
    let now = Arc::new(Mutex::new(list(r#""h1:6060","169.254.169.254","h/x""#)));
    let listed_now = Arc::clone(&now);
    let world = World::new(move |head| match head.host.as_str() {
        SERVER => Reply::Now(listed_now.lock().unwrap().clone()),
        _ => Reply::Now(response(&cpu())),
    });
    let scraper = with_discovery(&world);
    scraper.apply(&scrape(Limits::default().max_targets));
    world.rounds(3).await;

    let sent = world.relay.take();
    assert!(!sent.is_empty());
    for sent in sent {
        let name = "app{app_kubernetes_io_part_of=x,instance=h1:6060,job=shop}";
        assert_eq!(sent.parameter("name"), name);
    }
    let shown = scraper.snapshot();
    let health: Vec<_> = shown
        .iter()
        .map(|it| (it.url.as_str(), it.health))
        .collect();
    let expected = [
        ("http://h1:6060/debug/pprof/goroutine", Health::Up),
        ("169.254.169.254", Health::Dropped),
        ("h/x", Health::Dropped),
    ];
    assert_eq!(health, expected);

    *now.lock().unwrap() = list(r#""h2:6060""#);
    // The next list, and the 5 s between two changes.
    tokio::time::sleep(INTERVAL + Duration::from_secs(6)).await;
    world.relay.take();
    world.rounds(2).await;
    let sent = world.relay.take();
    assert!(!sent.is_empty());
    let is_new = |name: String| name.contains("instance=h2:6060");
    assert!(sent.iter().all(|it| is_new(it.parameter("name"))));
    let hosts = world.app.requests();
    assert!(hosts.iter().all(|it| !it.host.contains("169.254")));
    scraper.stop().await;
}
