use std::time::{Duration, Instant};

use super::{
    LENGTH, RELAYS, TRIED, named, open, relay_only, send, stop, wait_for_each, wait_until,
    wait_until_connected, wait_until_done, wait_until_shared,
};
use crate::support::{
    Answer, Count, Relay, SOON, Upstream, eventually, key::Key, nats::Nats, ports::Refusing,
};

/// Names of the relays, which are also a tag of their profiles.
const PODS: [&str; 3] = ["a", "b", "c"];

/// Profiles of each relay.
const EACH: usize = 60;

/// Bytes a second at which the fleet sends its backlog.
const RATE: f64 = 100_000.0;

/// Longest time until a relay of three has probed a target: the probes of a fleet are as rare as those of one relay.
const FLEET_RECOVERY: Duration = Duration::from_secs(120);

fn relay(nats: &Nats, address: &str, pod: &str, after: &str) -> Relay {
    let tags = format!("tags: {{ pod: {pod} }}");
    let relay = relay_only(nats, &format!("after: {after}"))
        .target_address("central", address, &[&tags, "replay-rate: 100KB"])
        .spawn();
    wait_until_connected(&relay);
    relay
}

#[test]
fn the_last_of_three_relays_delivers_what_the_others_left_with_their_tags_and_paced() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relays = PODS.map(|pod| relay(&nats, &port.url(), pod, "1m"));
    for relay in &relays {
        wait_until(relay, RELAYS, 3.0);
    }
    for (relay, pod) in relays.iter().zip(PODS) {
        send(relay, &named(pod, EACH));
    }
    let [first, second, last] = relays;
    stop(first);
    stop(second);
    assert_eq!(nats.stored(), 2 * EACH as u64);
    wait_until(&last, RELAYS, 1.0);

    let target = open(&port);
    let names: Vec<_> = PODS.iter().flat_map(|pod| named(pod, EACH)).collect();
    wait_for_each(&target, &names, FLEET_RECOVERY);
    let ledger = wait_until_done(&last, &nats);
    assert_eq!(ledger.sent, Count::new(3 * EACH as u64, 3 * EACH * LENGTH));
    assert_eq!(ledger.lost(), Count::default());
    let requests = target.requests();
    for request in &requests {
        let key = Key::of(&request.head.query());
        assert_eq!(key.tags["pod"], key.app[..1], "the captor's tag: {key:?}");
    }
    assert_paced(&times(&target), 1);
}

fn times(target: &Upstream) -> Vec<Instant> {
    target.requests().iter().map(|it| it.at).collect()
}

/// No window of two seconds or more has more than the rate, beside the profiles that `relays` had tried before: a retry is
/// no backlog.
fn assert_paced(arrivals: &[Instant], relays: usize) {
    let tried = (relays * LENGTH) as f64 * TRIED as f64;
    for (first, begin) in arrivals.iter().enumerate() {
        for (last, end) in arrivals.iter().enumerate().skip(first + 1) {
            let (window, count) = (end.duration_since(*begin), last - first);
            if window < Duration::from_secs(2) {
                continue;
            }
            let (bytes, limit) = ((count * LENGTH) as f64, RATE * window.as_secs_f64() * 1.2);
            assert!(bytes <= limit + tried, "{bytes} bytes in {window:?}");
        }
    }
}

#[test]
fn three_relays_together_send_the_backlog_at_the_rate_of_one() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let relays = PODS.map(|pod| relay(&nats, &port.url(), pod, "1s"));
    for (relay, pod) in relays.iter().zip(PODS) {
        send(relay, &named(pod, EACH));
    }
    for relay in &relays {
        wait_until(relay, RELAYS, 3.0);
        wait_until_shared(relay, EACH as u64);
    }
    let target = open(&port);
    let names: Vec<_> = PODS.iter().flat_map(|pod| named(pod, EACH)).collect();
    wait_for_each(&target, &names, FLEET_RECOVERY);
    eventually(SOON, "an empty stream", || nats.stored() == 0);
    assert_paced(&times(&target), 3);
    let sent = relays
        .each_ref()
        .map(|relay| relay.ledger("central").sent.profiles);
    assert_eq!(sent.iter().sum::<u64>(), 3 * EACH as u64, "{sent:?}");
    // Whose probe succeeds tells the others, so that all take part.
    assert!(sent.iter().all(|sent| *sent > 0), "{sent:?}");
    let left: i64 = relays
        .iter()
        .map(|relay| relay.ledger("central").shared())
        .sum();
    assert_eq!(left, 0, "the accounts of the fleet");
}

#[test]
fn a_relay_without_an_outage_of_its_own_delivers_the_backlog_of_another() {
    let (nats, target) = (Nats::start(), Upstream::ok());
    let cut_off = relay(&nats, &target.url(), "a", "1s");
    let address = target.address().to_string();
    drop(target.stop());
    send(&cut_off, &named("a", 40));
    wait_until_shared(&cut_off, 40);
    let target = Upstream::at(&address, |_| Answer::ok());
    let other = relay(&nats, &target.url(), "b", "1s");
    wait_for_each(&target, &named("a", 40), FLEET_RECOVERY);
    let ledger = other.ledger("central");
    assert!(ledger.taken_over.profiles > 0, "{ledger:?}");
    for request in target.requests() {
        assert_eq!(Key::of(&request.head.query()).tags["pod"], "a");
    }
}
