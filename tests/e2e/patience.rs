//! Clients that send little, late or nothing. These are the slowest tests, because they wait for real limits.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{Client, Relay, Request, Rig, Upstream};

/// Each scenario: a description, and the code that runs it.
const SCENARIOS: [(&str, fn()); 6] = [
    ("a connection without a byte is closed", no_byte),
    ("a connection with one byte is closed", one_byte),
    ("a head that trickles is closed", first_head_trickles),
    (
        "a second head that trickles is closed",
        second_head_trickles,
    ),
    (
        "an idle connection survives between two uploads",
        idle_between_uploads,
    ),
    ("a body may take longer than a head", slow_body),
];

#[test]
fn clients_that_say_little_late_or_nothing() {
    // One test for all scenarios: each waits for real limits. On a small machine, which runs two tests at a time,
    // single tests would keep all others from running for a minute.
    let failed: Vec<_> = thread::scope(|scope| {
        let running = SCENARIOS.map(|(words, scenario)| (words, scope.spawn(scenario)));
        running
            .into_iter()
            .filter_map(|(words, run)| run.join().is_err().then_some(words))
            .collect()
    });
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The limit for the first byte and for a head is 10 s; the machine may be busy.
const CLOSED: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(18);

/// A relay without targets, and a client that waits long for each read.
fn pair() -> (Relay, Upstream, Client) {
    let upstream = Upstream::ok();
    let relay = Relay::builder().upstream(&upstream).spawn();
    let client = Client::patient(relay.addr(), CLOSED.end);
    (relay, upstream, client)
}

/// Waits until the relay closes the connection, with or without a 408.
fn ended(client: &mut Client) {
    while let Ok(bytes) = client.wire().some(1024) {
        if bytes.is_empty() {
            return;
        }
    }
}

/// Asserts that the relay closes the connection within the time for a head.
fn assert_closed(client: &mut Client, started: Instant) {
    ended(client);
    assert!(
        CLOSED.contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
}

fn no_byte() {
    let (_relay, upstream, mut client) = pair();
    let started = Instant::now();
    assert_closed(&mut client, started);
    assert!(upstream.arrivals().is_empty());
}

fn one_byte() {
    let (_relay, upstream, mut client) = pair();
    let started = Instant::now();
    client.send(b"P");
    assert_closed(&mut client, started);
    assert!(upstream.arrivals().is_empty());
}

fn first_head_trickles() {
    let (_relay, upstream, mut client) = pair();
    let started = Instant::now();
    let head = Request::get("/x").field("X-Long", &"v".repeat(100)).head();
    let mut writer = client.wire().stream().try_clone().unwrap();
    thread::spawn(move || {
        for byte in head {
            if std::io::Write::write_all(&mut writer, &[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(500));
        }
    });
    assert_closed(&mut client, started);
    assert!(upstream.arrivals().is_empty());
}

fn second_head_trickles() {
    let (_relay, upstream, mut client) = pair();
    assert_eq!(client.exchange(&Request::get("/first")).status(), 200);
    let started = Instant::now();
    client.send(b"GET /second HTTP/1.1\r\nHost:");
    assert_closed(&mut client, started);
    assert_eq!(upstream.arrivals().len(), 1);
}

fn idle_between_uploads() {
    // SDKs upload every 10 or 15 s and reuse the connection.
    let rig = Rig::new();
    let mut client = rig.client();
    let profile = Request::profile("app", b"x");
    assert_eq!(client.exchange(&profile).status(), 200);
    thread::sleep(Duration::from_secs(12));
    assert_eq!(client.exchange(&profile).status(), 200);
    assert_eq!(rig.settled(2).sent.profiles, 2);
}

fn slow_body() {
    let rig = Rig::new();
    let mut client = rig.client();
    client
        .send(&Request::profile("app", b"xy").head())
        .send(b"x");
    thread::sleep(Duration::from_secs(12));
    client.send(b"y");
    assert_eq!(client.receive().status(), 200);
    assert_eq!(rig.target.only().body.data, b"xy");
}

#[test]
fn many_silent_connections_keep_nobody_else_waiting() {
    let rig = Rig::new();
    let silent: Vec<_> = (0..300).map(|_| rig.client()).collect();
    let started = Instant::now();
    assert_eq!(rig.send(&Request::profile("app", b"x")).status(), 200);
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    drop(silent);
}
