use std::time::{Duration, Instant};

use super::{
    CONNECTED, GAUGES, LENGTH, RECOVERY, named, numbered, open, relay_only, send, series, wait,
    wait_for_each, wait_until, wait_until_connected, wait_until_done, wait_until_shared,
};
use crate::support::{
    Client, Relay, Request, SOON, Upstream,
    client::{self, noise},
    eventually,
    nats::{Login, Nats},
    ports::Refusing,
};

/// Longest response to a client, whatever the state of the broker. A busy machine takes most of it.
const PROMPT: Duration = Duration::from_secs(2);

/// The longest time until a relay notices a broker that hangs: three pings and the next attempt.
const NOTICED: Duration = Duration::from_secs(60);

/// A relay with a target that is away and one that accepts everything.
struct Site {
    relay: Relay,
    /// The address of `central`, which is away.
    port: Refusing,
    healthy: Upstream,
}

impl Site {
    fn new(nats: &Nats, more: &str) -> Self {
        let (port, healthy) = (Refusing::new(), Upstream::ok());
        let relay = relay_only(nats, &format!("after: 1s, {more}"))
            .target_address("central", &port.url(), &["queue-size: 1000"])
            .target("healthy", &healthy, &[])
            .spawn();
        Self {
            relay,
            port,
            healthy,
        }
    }

    /// Sends profiles; clients and the healthy target notice nothing of the broker.
    fn send(&self, names: &[String]) {
        let mut client = Client::connect(self.relay.addr());
        for name in names {
            let begun = Instant::now();
            let answer = client.exchange(&Request::profile(name, &noise(LENGTH)));
            assert_eq!(answer.status(), 200, "{name}: {answer:?}");
            assert!(
                begun.elapsed() < PROMPT,
                "{name} took {:?}",
                begun.elapsed()
            );
        }
        let all = |arrived: &[String]| names.iter().all(|name| arrived.contains(name));
        eventually(PROMPT + SOON, "the healthy target", || {
            all(&super::arrived(&self.healthy))
        });
    }

    /// Whether the relay says that the broker cannot be used, and that it is ready all the same.
    fn says(&self, words: &[&str]) {
        let ready = client::send(self.relay.admin(), &Request::get("/-/ready"));
        assert_eq!(ready.status(), 200, "{ready:?}");
        let shows = || {
            let status = self.relay.status()["shared"].to_string();
            words.iter().all(|word| status.contains(word))
        };
        eventually(NOTICED, &format!("{words:?} in the status"), shows);
        eventually(SOON, &format!("{words:?} in the log"), || {
            let log = self.relay.output();
            words.iter().all(|word| log.contains(word))
        });
    }

    /// The target is back: everything arrives once.
    fn delivers(self, nats: &Nats, names: &[String]) {
        let target = open(&self.port);
        wait_for_each(&target, names, RECOVERY);
        let ledger = wait_until_done(&self.relay, nats);
        assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
        assert_eq!(ledger.sent.profiles, names.len() as u64);
        eventually(SOON, "all memory is given back", || {
            self.relay
                .metrics()
                .sum("pyroscope_relay_memory_bytes", &[])
                == 0.0
        });
    }
}

#[test]
fn a_broker_that_is_away_at_the_start_is_used_once_it_is_there() {
    let mut nats = Nats::not_yet();
    let site = Site::new(&nats, "");
    site.send(&numbered(20));
    site.says(&["refused"]);
    assert_eq!(site.relay.metrics().value(CONNECTED, &[]), Some(0.0));
    let ledger = site.relay.ledger("central");
    assert_eq!((ledger.pending.profiles, ledger.shared()), (20, 0));
    nats.restart();
    wait_until_connected(&site.relay);
    wait_until_shared(&site.relay, 20);
    site.delivers(&nats, &numbered(20));
}

#[test]
fn a_broker_that_is_killed_keeps_what_it_acknowledged_and_gets_the_rest_later() {
    let mut nats = Nats::start();
    let site = Site::new(&nats, "");
    site.send(&named("before", 20));
    wait_until_shared(&site.relay, 20);
    nats.kill();
    wait_until(&site.relay, CONNECTED, 0.0);
    site.send(&named("during", 20));
    site.says(&["refused"]);
    wait(&site.relay, SOON, "the rest waits here", |it| {
        it.pending.profiles >= 20
    });
    nats.restart();
    wait_until_connected(&site.relay);
    wait_until_shared(&site.relay, 40);
    let names = [named("before", 20), named("during", 20)].concat();
    site.delivers(&nats, &names);
}

#[test]
fn a_broker_that_hangs_is_noticed_and_costs_no_memory() {
    let nats = Nats::start();
    let site = Site::new(&nats, "");
    site.send(&named("before", 10));
    wait_until_shared(&site.relay, 10);
    nats.suspend();
    let before = site.relay.rss();
    let names = named("during", 200);
    let mut client = Client::connect(site.relay.addr());
    for name in &names {
        let begun = Instant::now();
        let answer = client.exchange(&Request::profile(name, &noise(50_000)));
        assert_eq!(answer.status(), 200, "{name}: {answer:?}");
        assert!(
            begun.elapsed() < PROMPT,
            "{name} took {:?}",
            begun.elapsed()
        );
    }
    wait_until(&site.relay, CONNECTED, 0.0);
    let ledger = site.relay.ledger("central");
    assert!(ledger.pending.profiles >= 200, "{ledger:?}");
    let held = site
        .relay
        .metrics()
        .sum("pyroscope_relay_memory_bytes", &[]);
    // The records, and at most 8 MiB of copies that are being published.
    assert!(
        held < (200.0 * 50_000.0) * 1.1 + 10.0 * 1e6,
        "{held} bytes are charged"
    );
    let grown = site.relay.rss().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes more");
    nats.resume();
    wait_until_connected(&site.relay);
    wait_until_shared(&site.relay, 210);
    let all = [named("before", 10), names].concat();
    let target = open(&site.port);
    // A publish that timed out may have been stored: such a profile may double only after two minutes, and is counted.
    wait_for_each(&target, &all, RECOVERY);
    assert_eq!(series(&site.relay, "possibly_doubled_total"), 0.0);
}

#[test]
fn a_broker_that_refuses_the_token_is_told_and_used_once_it_accepts() {
    let secret = "S3cr-token-of-broker";
    let mut nats = Nats::with("authorization { token: another }", Login::Token("another"));
    let site = Site::new(&nats, &format!("auth: {{ token: {secret} }}"));
    site.send(&numbered(10));
    site.says(&["uthoriz"]);
    let refused = site.relay.ledger("central");
    assert_eq!((refused.pending.profiles, refused.shared()), (10, 0));
    assert!(!site.relay.output().contains(secret));
    assert!(!site.relay.status().to_string().contains(secret));
    nats.kill();
    nats.admit(
        &format!("authorization {{ token: {secret} }}"),
        Login::Token(secret),
    );
    nats.restart();
    wait_until_connected(&site.relay);
    wait_until_shared(&site.relay, 10);
    site.delivers(&nats, &numbered(10));
}

#[test]
fn permissions_that_are_missing_are_told_and_used_once_they_are_granted() {
    let user = |permissions: &str| {
        format!(
            "authorization {{ users: [ {{ user: relay, password: relay, permissions: {permissions} }}, \
             {{ user: test, password: test }} ] }}"
        )
    };
    let login = Login::User("test", "test");
    let nats = Nats::with(&user("{ publish: { deny: \"pyrotee.>\" } }"), login);
    let site = Site::new(&nats, "auth: { user: relay, password: relay }");
    site.send(&numbered(10));
    site.says(&["ermission"]);
    let refused = site.relay.ledger("central");
    assert_eq!(
        (refused.pending.profiles, refused.shared()),
        (10, 0),
        "{refused:?}"
    );
    nats.configure(&user("{ publish: \">\" }"));
    nats.reload();
    wait_until_shared(&site.relay, 10);
    site.delivers(&nats, &numbered(10));
}

#[test]
fn a_relay_ends_in_time_while_the_broker_hangs() {
    let nats = Nats::start();
    let port = Refusing::new();
    let mut relay = relay_only(&nats, "after: 1s")
        .yaml("shutdown: { grace: 2s }")
        .target_address("central", &port.url(), &[])
        .spawn();
    wait_until_connected(&relay);
    nats.suspend();
    send(&relay, &numbered(10));
    relay.sigterm();
    let ended = relay.wait(Duration::from_secs(2 + 3) + SOON / 2);
    assert_eq!(ended.expect("an end").code(), Some(0), "{}", relay.output());
    assert!(
        relay.output().contains("shutdown"),
        "the loss is told: {}",
        relay.output()
    );
    nats.resume();
}

#[test]
fn a_stream_that_is_deleted_costs_only_what_it_contained() {
    let nats = Nats::start();
    let site = Site::new(&nats, "");
    site.send(&numbered(40));
    wait_until_shared(&site.relay, 40);
    let streams = nats.streams();
    let stream = streams.iter().find(|name| name.contains("central"));
    let delete = format!("STREAM.DELETE.{}", stream.expect("a stream"));
    nats.api(&delete, &serde_json::Value::Null);
    site.send(&named("later", 40));
    eventually(GAUGES + SOON, "an unusable stream or a new one", || {
        series(&site.relay, "usable") == 0.0 || nats.stored() > 0
    });
    let ledger = site.relay.ledger("central");
    assert_eq!(ledger.lost().profiles, 0, "{ledger:?}");
    let target = open(&site.port);
    eventually(RECOVERY, "the later ones", || {
        let arrived = super::arrived(&target);
        named("later", 40).iter().all(|name| arrived.contains(name))
    });
}
