//! A backlog on NATS JetStream that relays share.

/// A broker that is away, slow, or refuses.
mod broker;
/// Relays and the broker are killed at any moment.
mod campaign;
/// A cluster of three servers.
mod cluster;
/// `pyrotee shared …`.
mod commands;
/// A network that is parted.
mod cut;
/// A spool that is delivered before the backlog is shared.
mod drain_spool;
/// Faults of the configuration.
mod faults;
/// Several relays with one backlog.
mod fleet;
/// A stream that is full, and bodies that no stream takes.
mod full;
/// Which profiles go to the stream, and their return.
mod hand_over;
/// Relays that end with leases.
mod leases;
/// A server older than 2.10.
mod old_server;
/// Purges, removed targets, and relays that mean different targets by one name.
mod ownership;
/// The permissions that the page about scaling lists.
mod permissions;
/// Secrets of the broker are shown nowhere.
mod secrets;
/// How a relay shows who it is, and TLS.
mod security;

use std::{collections::BTreeSet, time::Duration};

use crate::support::{
    Answer, Builder, Client, Ledger, Relay, Request, SOON, Upstream, client::noise, eventually,
    key::Key, nats::Nats, poll, ports::Refusing,
};

const CONNECTED: &str = "pyroscope_remote_write_shared_connected";
const RELAYS: &str = "pyroscope_remote_write_shared_relays";

/// Body of a profile, in bytes.
const LENGTH: usize = 5_000;

/// Profiles that a target may get before it counts as unavailable, on a busy machine. They are retried from memory.
const TRIED: u64 = 16;

/// Longest time until the only relay of a fleet notices that a target is back, after a short outage, and has sent a
/// small backlog.
const RECOVERY: Duration = Duration::from_secs(60);

/// Longest time until a profile of a target that is away is handed over, with `after: 1s`.
const SOON_GONE: Duration = Duration::from_secs(15);

/// Longest time until the gauges of a stream are renewed, every 10 s.
const GAUGES: Duration = Duration::from_secs(25);

/// The block `shared` with further keys.
fn block(nats: &Nats, more: &str) -> String {
    block_at(&nats.url(), more)
}

fn block_at(server: &str, more: &str) -> String {
    format!("shared: {{ servers: [\"{server}\"], replicas: 1, max-bytes: 64MiB, {more} }}")
}

/// A relay without a local upstream whose backlog is on `nats`.
fn relay_only(nats: &Nats, more: &str) -> Builder {
    relay_at(&nats.url(), more)
}

/// The same, with the server at this address.
fn relay_at(server: &str, more: &str) -> Builder {
    Relay::builder()
        .yaml(&block_at(server, more))
        .yaml("reload: { interval: 0 }")
        .remote_write("disable-local-writes: true")
}

/// A target that answers everything with 200, at a reserved address.
fn open(port: &Refusing) -> Upstream {
    Upstream::at(&port.address().to_string(), |_| Answer::ok())
}

fn numbered(count: usize) -> Vec<String> {
    named("app", count)
}

fn named(name: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{name}{number:03}"))
        .collect()
}

fn send(relay: &Relay, names: &[String]) {
    send_sized(relay, names, LENGTH);
}

fn send_sized(relay: &Relay, names: &[String], length: usize) {
    let mut client = Client::connect(relay.addr());
    for name in names {
        let answer = client.exchange(&Request::profile(name, &noise(length)));
        assert_eq!(answer.status(), 200, "{name}: {answer:?}");
    }
}

/// The names of the profiles that a target got whole, sorted, without tags.
fn arrived(target: &Upstream) -> Vec<String> {
    let requests = target.requests();
    let mut names: Vec<_> = requests
        .iter()
        .map(|it| Key::of(&it.head.query()).app)
        .collect();
    names.sort();
    names
}

/// Waits until a target has all of these profiles. Panics if it has another one, or one twice.
fn wait_for_each(target: &Upstream, names: &[String], limit: Duration) {
    let all: BTreeSet<_> = names.iter().cloned().collect();
    let is_all = || {
        arrived(target)
            .into_iter()
            .collect::<BTreeSet<_>>()
            .is_superset(&all)
    };
    let done = poll(limit, || is_all().then_some(()));
    let mut expected: Vec<_> = names.to_vec();
    expected.sort();
    assert!(
        done.is_some(),
        "not within {limit:?}: {:?} of {expected:?}",
        arrived(target)
    );
    assert_eq!(arrived(target), expected, "each once");
}

/// Waits until the stream has all of `count` profiles for `central`, except those that were tried before.
fn wait_until_shared(relay: &Relay, count: u64) -> Ledger {
    wait(relay, RECOVERY, &format!("{count} in the stream"), |it| {
        let here = it.pending.profiles;
        is_handed_over(relay, it) && it.shared() + here.cast_signed() == count.cast_signed()
    })
}

/// Whether at most those profiles are pending that were tried: others are handed over.
fn is_handed_over(relay: &Relay, ledger: &Ledger) -> bool {
    let status = relay.target_status("central").expect("it is configured");
    let attempts = status["attempts"].as_u64().expect("a number");
    ledger.pending.profiles <= attempts.min(TRIED)
}

/// Stops a relay, which leaves everything it has in the stream.
fn stop(mut relay: Relay) {
    relay.sigterm();
    let ended = relay.wait(2 * SOON).expect("an end");
    assert_eq!(ended.code(), Some(0), "{}", relay.output());
}

/// Waits until all profiles that this relay has are sent, and the stream is empty.
fn wait_until_done(relay: &Relay, nats: &Nats) -> Ledger {
    eventually(RECOVERY, "an empty stream", || nats.stored() == 0);
    wait(relay, RECOVERY, "nothing pending", |it| {
        it.pending.profiles == 0
    })
}

/// Waits until the account of `central` satisfies `condition`. It must balance at every look.
fn wait(relay: &Relay, limit: Duration, what: &str, condition: impl Fn(&Ledger) -> bool) -> Ledger {
    let met = poll(limit, || Some(relay.ledger("central")).filter(&condition));
    met.unwrap_or_else(|| panic!("not in time: {what}: {:?}", relay.ledger("central")))
}

/// The value of a series of `central` that is about the stream.
fn series(relay: &Relay, name: &str) -> f64 {
    let name = format!("pyroscope_remote_write_shared_{name}");
    let metrics = relay.metrics();
    let value = metrics.value(&name, &[("target", "central")]);
    value.unwrap_or_else(|| panic!("no {name} in\n{}", metrics.text()))
}

fn wait_until_connected(relay: &Relay) {
    wait_until(relay, CONNECTED, 1.0);
}

/// Waits until a series without labels has a value.
fn wait_until(relay: &Relay, series: &str, value: f64) {
    eventually(GAUGES, &format!("{series} is {value}"), || {
        relay.metrics().value(series, &[]) == Some(value)
    });
}
