//! Limits of the connections to the upstream, and the responses to requests above them.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Answer, Client, Relay, Request, SOON, Upstream, eventually};

const HITS: &str = "pyroscope_relay_upstream_limit_hits_total";

/// Number of 503s so far because of `limit`.
fn hits(relay: &Relay, limit: &str) -> f64 {
    let hits = relay.metrics().value(HITS, &[("limit", limit)]);
    hits.expect("the series exists from the start")
}

#[test]
fn a_request_above_the_limit_waits_for_its_turn() {
    const BUSY: Duration = Duration::from_secs(1);
    let target = Upstream::ok();
    let upstream = Upstream::script(|arrival| match &*arrival.head.path() {
        "/slow" => Answer::ok().after(BUSY),
        _ => Answer::ok(),
    });
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .upstream_option("max-connections: 2")
        .target("central", &target, &[])
        .spawn();
    let start = Instant::now();
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let mut client = Client::connect(relay.addr());
            client.send(&Request::get("/slow").bytes());
            client
        })
        .collect();
    upstream.wait_for(2, SOON);
    // Both connections are busy for much less than `upstream.timeout`.
    let answer = relay.send(&Request::profile("app", b"profile"));
    assert_eq!(answer.status(), 200);
    assert!(start.elapsed() >= BUSY, "it did not wait");
    drop(slow);
    assert_eq!(hits(&relay, "connections"), 0.0);
    assert_eq!(target.only().body.data, b"profile");
}

#[test]
fn many_clients_of_a_hung_upstream_take_no_more_connections_than_the_limit() {
    let (upstream, target) = (Upstream::answering(Answer::never()), Upstream::ok());
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .upstream_option("max-connections: 3")
        .upstream_option("timeout: 1s")
        .target("central", &target, &[])
        .spawn();
    let statuses: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..12)
            .map(|number: u32| {
                // Equal profiles would be retries of one that failed.
                let request = Request::profile("app", &number.to_be_bytes());
                let relay = &relay;
                scope.spawn(move || relay.send(&request))
            })
            .collect();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        answers
            .map(|answer| match answer.status() {
                503 => {
                    assert_eq!(answer.head.get("retry-after"), Some("5".to_owned()));
                    assert_eq!(answer.json()["code"], "unavailable");
                    503
                }
                status => status,
            })
            .collect()
    });
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(
        statuses.iter().all(|it| matches!(it, 503 | 504)),
        "{statuses:?}"
    );
    // Three requests at once, and three when those have ended; three more if a client started late.
    assert!(refused >= 12 - 3 * 3, "{statuses:?}");
    assert_eq!(hits(&relay, "connections"), refused as f64);
    // Profiles that the upstream does not accept are teed all the same.
    target.wait_for(12, SOON);
}

#[test]
fn a_request_gives_its_place_back_when_its_response_has_ended() {
    let upstream = Upstream::ok();
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .upstream_option("max-connections: 1")
        .spawn();
    for _ in 0..20 {
        assert_eq!(relay.send(&Request::get("/render")).status(), 200);
    }
    // A client that leaves while its response streams, and a client that leaves before the response.
    for path in ["/a", "/b"] {
        let mut client = Client::connect(relay.addr());
        client.send(&Request::chunked(path, &[], &[]).head());
        drop(client);
    }
    assert_eq!(relay.send(&Request::get("/render")).status(), 200);
    assert_eq!(hits(&relay, "connections"), 0.0);
}

#[test]
fn tunnels_take_half_of_the_connections() {
    let upstream = Upstream::script(|arrival| match &*arrival.head.path() {
        "/ws" => Answer::upgrade("websocket"),
        _ => Answer::ok(),
    });
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .upstream_option("max-connections: 4")
        .spawn();
    let upgrade = Request::get("/ws")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    let open = || {
        let mut client = Client::connect(relay.addr());
        let status = client.exchange(&upgrade).status();
        (client, status)
    };
    let mut tunnels = vec![open(), open()];
    assert!(tunnels.iter().all(|(_, status)| *status == 101));
    assert_eq!(open().1, 503);
    assert_eq!(hits(&relay, "tunnels"), 1.0);
    assert_eq!(relay.send(&Request::get("/render")).status(), 200);
    tunnels.pop();
    eventually(SOON, "room for a tunnel", || open().1 == 101);
}

#[test]
fn an_upgrade_has_the_timeout_of_a_request_until_the_protocol_changes() {
    let (upstream, target) = (Upstream::answering(Answer::never()), Upstream::ok());
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .upstream_option("timeout: 1s")
        .target("central", &target, &[])
        .spawn();
    let upgrade = Request::profile("app", b"profile")
        .field("Connection", "upgrade")
        .field("Upgrade", "x");
    assert_eq!(relay.send(&upgrade).status(), 504);
    // The upgrade request is an ingestion request like any other.
    assert_eq!(target.only().body.data, b"profile");
}
