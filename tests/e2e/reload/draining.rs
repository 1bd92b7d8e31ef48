//! Removed targets whose queued profiles are still delivered.

use std::time::Duration;

use super::{names, send, upload, wait_until_drained};
use crate::support::{
    Answer, Builder, Count, Relay, Request, SOON, Upstream,
    client::{self, Client, noise},
    command::pyrotee,
    eventually,
    ports::Refusing,
};

/// A relay with a target `keep` that accepts everything, and a target `old` that tests remove.
struct Pair {
    relay: Relay,
    keep: Upstream,
    drain: &'static str,
}

impl Pair {
    fn new(drain: &'static str, address: &str) -> Self {
        let keep = Upstream::ok();
        let relay = with_old(builder(drain, &keep), address).spawn();
        Self { relay, keep, drain }
    }

    /// The configuration without `old`.
    fn without(&self) -> Builder {
        builder(self.drain, &self.keep)
    }

    fn remove(&self) {
        let report = self.relay.reload_with(&self.without());
        assert_eq!(report.targets(), [("old", "removed")]);
    }

    fn put_back(&self, address: &str) {
        let report = self.relay.reload_with(&with_old(self.without(), address));
        assert_eq!(report.targets(), [("old", "returned")]);
    }

    fn purge_old(&self) {
        let purge = Request::new("POST", "/api/v1/purge?target=old");
        let answer = client::send(self.relay.admin(), &purge);
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
}

fn builder(drain: &str, keep: &Upstream) -> Builder {
    Relay::builder()
        .yaml(&format!("reload: {{ interval: 0, drain: {drain} }}"))
        .remote_write("disable-local-writes: true")
        .target("keep", keep, &[])
}

fn with_old(builder: Builder, address: &str) -> Builder {
    builder.target_address("old", address, &["queue-workers: 1"])
}

#[test]
fn what_waits_for_a_removed_target_is_delivered_and_nothing_new_is() {
    let old = Upstream::answering(Answer::ok().after(Duration::from_millis(200)));
    let pair = Pair::new("10m", &old.url());
    let relay = &pair.relay;
    send(relay, &["a", "b", "c", "d", "e"]);
    pair.remove();
    let status = relay.target_status("old").expect("it is draining");
    assert!(status["draining_until"].is_string(), "{status}");
    let configured = relay.target_status("keep").expect("it is configured");
    assert!(configured["draining_until"].is_null(), "{configured}");
    let shown = pyrotee(&["status", "--admin", &relay.admin().to_string()]);
    shown.expect(0, &["draining"]);
    upload(relay, &pair.keep, "later");
    let ledger = relay.wait_ledger("old", "all sent", |it| it.pending.profiles == 0);
    assert_eq!(
        (ledger.accepted.profiles, ledger.sent.profiles),
        (5, 5),
        "{ledger:?}"
    );
    wait_until_drained(relay, "old");
    upload(relay, &pair.keep, "last");
    assert_eq!(names(&old), ["a", "b", "c", "d", "e"]);
    assert_eq!(relay.ledger("old").accepted.profiles, 5);
    let dropped = relay.ledger("old").lost();
    assert_eq!(
        dropped,
        Count::default(),
        "nothing is offered to a removed target"
    );
}

#[test]
fn what_still_waits_after_reload_drain_is_dropped_as_target_removed() {
    let dead = Refusing::new();
    let pair = Pair::new("2s", &dead.url());
    send(&pair.relay, &["a", "b", "c"]);
    pair.remove();
    let ledger = pair.relay.ledger("old");
    assert_eq!(ledger.pending.profiles, 3, "{ledger:?}");
    let ledger = pair
        .relay
        .wait_ledger("old", "dropped", |it| it.pending.profiles == 0);
    assert_eq!(
        ledger.dropped("target_removed"),
        Count::new(3, 21),
        "{ledger:?}"
    );
    wait_until_drained(&pair.relay, "old");
}

#[test]
fn a_drain_of_zero_drops_what_waits_at_once() {
    let dead = Refusing::new();
    let pair = Pair::new("0", &dead.url());
    send(&pair.relay, &["a", "b", "c"]);
    pair.remove();
    let ledger = pair
        .relay
        .wait_ledger("old", "dropped", |it| it.pending.profiles == 0);
    assert_eq!(ledger.dropped("target_removed").profiles, 3, "{ledger:?}");
    wait_until_drained(&pair.relay, "old");
}

#[test]
fn max_age_bounds_the_draining() {
    let (dead, keep) = (Refusing::new(), Upstream::ok());
    let base = builder("10m", &keep);
    let relay = base
        .clone()
        .target_address("old", &dead.url(), &["max-age: 1s"])
        .spawn();
    send(&relay, &["a", "b"]);
    relay.reload_with(&base);
    let ledger = relay.wait_ledger("old", "dropped", |it| it.pending.profiles == 0);
    let lost = ledger.dropped("target_removed").profiles + ledger.dropped("expired").profiles;
    assert_eq!(lost, 2, "{ledger:?}");
    wait_until_drained(&relay, "old");
}

#[test]
fn an_upload_in_flight_when_the_draining_ends_is_finished() {
    let old = Upstream::answering(Answer::ok().after(Duration::from_millis(1500)));
    let pair = Pair::new("200ms", &old.url());
    send(&pair.relay, &["a", "b"]);
    old.wait_for(1, SOON);
    pair.remove();
    let ledger = pair
        .relay
        .wait_ledger("old", "all settled", |it| it.pending.profiles == 0);
    assert_eq!(ledger.sent.profiles, 1, "{ledger:?}");
    assert_eq!(ledger.dropped("target_removed").profiles, 1, "{ledger:?}");
}

#[test]
fn a_purge_ends_the_draining() {
    let dead = Refusing::new();
    let pair = Pair::new("10m", &dead.url());
    send(&pair.relay, &["a", "b", "c"]);
    pair.remove();
    eventually(SOON, "all three are purged", || {
        pair.purge_old();
        pair.relay.ledger("old").pending.profiles == 0
    });
    assert_eq!(pair.relay.ledger("old").dropped("admin").profiles, 3);
    wait_until_drained(&pair.relay, "old");
    let purge = Request::new("POST", "/api/v1/purge?target=old");
    assert_eq!(client::send(pair.relay.admin(), &purge).status(), 404);
}

#[test]
fn a_target_that_returns_while_it_drains_goes_on_with_its_account() {
    let (dead, new) = (Refusing::new(), Upstream::ok());
    let pair = Pair::new("10m", &dead.url());
    send(&pair.relay, &["a", "b"]);
    pair.remove();
    send(&pair.relay, &["not"]);
    pair.put_back(&new.url());
    let status = pair.relay.target_status("old").expect("it is configured");
    assert!(status["draining_until"].is_null(), "{status}");
    send(&pair.relay, &["c"]);
    let ledger = pair
        .relay
        .wait_ledger("old", "all sent", |it| it.pending.profiles == 0);
    assert_eq!(
        (ledger.accepted.profiles, ledger.sent.profiles),
        (3, 3),
        "{ledger:?}"
    );
    let mut delivered = names(&new);
    delivered.sort();
    assert_eq!(delivered, ["a", "b", "c"]);
}

#[test]
fn a_target_that_returns_after_it_was_drained_goes_on_with_its_account() {
    let old = Upstream::ok();
    let pair = Pair::new("0", &old.url());
    for round in 1..=3 {
        send(&pair.relay, &["app"]);
        pair.relay
            .wait_ledger("old", "sent", |it| it.sent.profiles == round);
        pair.remove();
        wait_until_drained(&pair.relay, "old");
        assert_eq!(
            pair.relay.ledger("old").accepted.profiles,
            round,
            "it is still shown"
        );
        pair.put_back(&old.url());
    }
    assert_eq!(names(&old), ["app", "app", "app"]);
}

#[test]
fn removed_targets_hold_at_most_a_quarter_of_the_memory() {
    const MIB: u64 = 1024 * 1024;
    let (first, second, keep) = (Refusing::new(), Refusing::new(), Upstream::ok());
    let with = |dead: &[(&str, &Refusing)]| {
        let base = Relay::builder()
            .yaml("memory-limit: 32MiB")
            .yaml("reload: { interval: 0 }")
            .remote_write("disable-local-writes: true")
            .target("keep", &keep, &[]);
        dead.iter().fold(base, |builder, (name, target)| {
            let options = ["queue-size: 1000", "queue-bytes: 16MiB"];
            builder.target_address(name, &target.url(), &options)
        })
    };
    let both = [("first", &first), ("second", &second)];
    let relay = with(&both).spawn();
    let body = noise(100_000);
    let mut client = Client::connect(relay.addr());
    for number in 0..120 {
        let request = Request::profile(&format!("app{number}"), &body);
        assert_eq!(client.exchange(&request).status(), 200);
    }
    let pending = |name: &str| relay.ledger(name).pending.bytes;
    assert!(pending("first") == 12_000_000 && pending("second") == 12_000_000);
    relay.reload_with(&with(&both[1..]));
    let ledger = relay.ledger("first");
    assert!(
        (7 * MIB..=8 * MIB).contains(&ledger.pending.bytes),
        "{ledger:?}"
    );
    assert_eq!(
        ledger.lost(),
        ledger.dropped("target_removed"),
        "{ledger:?}"
    );
    assert_eq!(pending("second"), 12_000_000, "it is in force");
    relay.reload_with(&with(&[]));
    let held = pending("first") + pending("second");
    assert!((7 * MIB..=8 * MIB).contains(&held), "{held}");
    let ledger = relay.ledger("second");
    assert_eq!(
        ledger.lost(),
        ledger.dropped("target_removed"),
        "{ledger:?}"
    );
}

#[test]
fn a_stop_ends_the_draining() {
    let dead = Refusing::new();
    let mut pair = Pair::new("10m", &dead.url());
    send(&pair.relay, &["a"]);
    let quick = pair.without().yaml("shutdown: { grace: 300ms }");
    let report = pair.relay.reload_with(&quick);
    assert_eq!(report.target("old"), Some("removed"));
    pair.relay.sigterm();
    let status = pair.relay.wait(Duration::from_secs(5)).expect("it stops");
    assert_eq!(status.code(), Some(0));
}
