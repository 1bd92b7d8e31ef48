//! Requests that are open while the configuration changes: each is answered by the configuration of its head.

use super::{names, send};
use crate::support::{
    Answer, Builder, Client, Relay, Request, Rig, SOON, Upstream, client::noise, eventually,
};

const BODY: &[u8] = b"a profile that arrives in two parts";

/// A rig whose upstream answers with a body of its own, so that a response tells who answered.
fn rig(build: impl FnOnce(Builder) -> Builder) -> Rig {
    let upstream = Upstream::answering(Answer::status(200, b"upstream"));
    Rig::with(upstream, Upstream::ok(), &[], |builder| {
        build(builder.yaml("reload: { interval: 0 }"))
    })
}

fn configuration(rig: &Rig, lines: &[&str], top: &[&str]) -> Builder {
    let base = Relay::builder()
        .upstream(&rig.upstream)
        .yaml("reload: { interval: 0 }")
        .target("central", &rig.target, &[]);
    let base = lines
        .iter()
        .fold(base, |base, line| base.remote_write(line));
    top.iter().fold(base, |base, text| base.yaml(text))
}

/// A request whose body is not complete yet.
struct Open {
    client: Client,
}

impl Open {
    /// Sends a head and a part of the body, once the relay has asked for the body: the relay has seen the head then.
    fn new(relay: &Relay, name: &str) -> Self {
        let mut client = Client::connect(relay.addr());
        let request = Request::profile(name, BODY).field("Expect", "100-continue");
        let interim = client.send(&request.head()).receive();
        assert_eq!(interim.status(), 100, "{interim:?}");
        client.send(&BODY[..10]);
        Self { client }
    }

    /// Sends the rest, and returns the status and the body of the response.
    fn finish(mut self) -> (u16, Vec<u8>) {
        let answer = self.client.send(&BODY[10..]).receive();
        (answer.status(), answer.body.data)
    }
}

const DISCARD: &[&str] = &["disable-local-writes: true"];

fn by_upstream() -> (u16, Vec<u8>) {
    (200, b"upstream".to_vec())
}

fn by_relay() -> (u16, Vec<u8>) {
    (200, Vec::new())
}

fn answered(rig: &Rig, name: &str) -> (u16, Vec<u8>) {
    let answer = rig.send(&Request::profile(name, BODY));
    (answer.status(), answer.body.data)
}

#[test]
fn a_request_is_forwarded_or_not_as_at_its_head() {
    let rig = rig(|builder| builder);
    let forwarded: Vec<_> = (0..8)
        .map(|n| Open::new(&rig.relay, &format!("f{n}")))
        .collect();
    rig.relay.reload_with(&configuration(&rig, DISCARD, &[]));
    assert_eq!(answered(&rig, "between"), by_relay());
    let discarded: Vec<_> = (0..8)
        .map(|n| Open::new(&rig.relay, &format!("d{n}")))
        .collect();
    rig.relay.reload_with(&configuration(&rig, &[], &[]));
    assert_eq!(answered(&rig, "after"), by_upstream());
    for open in forwarded {
        assert_eq!(open.finish(), by_upstream());
    }
    for open in discarded {
        assert_eq!(open.finish(), by_relay());
    }
    rig.settled(18);
    let mut local = names(&rig.upstream);
    local.sort();
    let expected: Vec<_> = (0..8).map(|n| format!("f{n}")).collect();
    assert_eq!(local, [vec!["after".to_owned()], expected].concat());
    assert_eq!(names(&rig.target).len(), 18, "each is teed once");
}

#[test]
fn without_remote_write_nothing_is_teed_until_it_is_enabled_again() {
    let rig = rig(|builder| builder);
    assert_eq!(answered(&rig, "a"), by_upstream());
    rig.settled(1);
    let off = configuration(&rig, &["enabled: false"], &[]);
    assert_eq!(
        rig.relay.reload_with(&off).targets(),
        [("central", "removed")]
    );
    assert_eq!(answered(&rig, "b"), by_upstream());
    let on = configuration(&rig, &[], &[]);
    assert_eq!(
        rig.relay.reload_with(&on).targets(),
        [("central", "returned")]
    );
    assert_eq!(answered(&rig, "c"), by_upstream());
    rig.settled(2);
    assert_eq!(names(&rig.upstream), ["a", "b", "c"]);
    assert_eq!(names(&rig.target), ["a", "c"]);
}

#[test]
fn remote_write_that_was_disabled_at_the_start_can_be_enabled() {
    let rig = rig(|builder| builder.remote_write("enabled: false"));
    assert_eq!(answered(&rig, "a"), by_upstream());
    let report = rig.relay.reload_with(&configuration(&rig, &[], &[]));
    assert_eq!(report.targets(), [("central", "added")]);
    assert_eq!(answered(&rig, "b"), by_upstream());
    rig.settled(1);
    rig.relay.reload_with(&configuration(&rig, DISCARD, &[]));
    assert_eq!(answered(&rig, "c"), by_relay());
    rig.settled(2);
    assert_eq!(names(&rig.target), ["b", "c"]);
}

#[test]
fn a_request_that_would_not_be_forwarded_and_finds_no_target_is_a_503() {
    let rig = rig(|builder| builder.remote_write("disable-local-writes: true"));
    let mut open = Open::new(&rig.relay, "app");
    rig.relay
        .reload_with(&configuration(&rig, &["enabled: false"], &[]));
    let answer = open.client.send(&BODY[10..]).receive();
    assert_eq!(answer.status(), 503, "{answer:?}");
    assert!(answer.head.has("retry-after"), "{answer:?}");
    assert_eq!(answer.json()["code"], "unavailable");
    // The client's retry has a head of its own.
    assert_eq!(answered(&rig, "app"), by_upstream());
    assert!(rig.target.arrivals().is_empty());
}

#[test]
fn the_targets_are_those_in_force_when_the_body_is_complete() {
    let rig = rig(|builder| builder.remote_write("disable-local-writes: true"));
    let other = Upstream::ok();
    let open = Open::new(&rig.relay, "app");
    let moved = Relay::builder()
        .upstream(&rig.upstream)
        .yaml("reload: { interval: 0 }")
        .remote_write("disable-local-writes: true")
        .target("other", &other, &[]);
    let report = rig.relay.reload_with(&moved);
    assert_eq!(report.targets().len(), 2, "{report:?}");
    assert_eq!(open.finish(), by_relay());
    assert_eq!(other.only().body.data, BODY);
    assert!(rig.target.arrivals().is_empty());
    assert_eq!(rig.relay.ledger("central").accepted.profiles, 0);
}

#[test]
fn no_later_profile_reaches_a_target_once_the_reload_that_removes_it_has_returned() {
    let rig = rig(|builder| builder);
    let other = Upstream::ok();
    let both = configuration(&rig, &[], &[]).target("other", &other, &[]);
    for round in 1..=10 {
        rig.relay.reload_with(&both);
        send(&rig.relay, &["both"]);
        rig.relay.reload_with(&configuration(&rig, &[], &[]));
        send(&rig.relay, &["central"]);
        rig.settled(2 * round);
        let ledger = rig.relay.ledger("other");
        assert_eq!(ledger.accepted.profiles, round, "{ledger:?}");
    }
    eventually(SOON, "all are delivered", || names(&other).len() == 10);
    assert!(names(&other).iter().all(|name| name == "both"));
}

#[test]
fn the_largest_body_of_the_tee_changes_for_new_requests() {
    let rig = rig(|builder| builder.yaml("tee: { max-body: 1KiB }"));
    let large = Request::profile("large", &noise(5_000));
    assert_eq!(rig.send(&large).status(), 200);
    let too_large = || rig.relay.ledger("central").dropped("too_large").profiles;
    eventually(SOON, "it is counted", || too_large() == 1);
    let report = rig
        .relay
        .reload_with(&configuration(&rig, &[], &["tee: { max-body: 1MiB }"]));
    assert!(report.has_change("tee.max-body", "changed"), "{report:?}");
    assert!(report.targets().is_empty(), "{report:?}");
    assert_eq!(rig.send(&large).status(), 200);
    rig.settled(2);
    assert_eq!(names(&rig.target), ["large"]);
    // A request that is open keeps the limit of its head.
    let mut open = Client::connect(rig.relay.addr());
    let body = noise(5_000);
    let request = Request::profile("open", &body).field("Expect", "100-continue");
    assert_eq!(open.send(&request.head()).receive().status(), 100);
    rig.relay
        .reload_with(&configuration(&rig, &[], &["tee: { max-body: 1KiB }"]));
    assert_eq!(open.send(&body).receive().status(), 200);
    rig.settled(3);
    assert_eq!(names(&rig.target), ["large", "open"]);
    assert_eq!(rig.send(&large).status(), 200);
    eventually(SOON, "it is counted", || too_large() == 2);
    assert_eq!(names(&rig.upstream).len(), 4);
}

#[test]
fn the_condition_of_the_tee_changes_for_new_requests() {
    let upstream = Upstream::answering(Answer::status(500, b"down"));
    let rig = Rig::with(upstream, Upstream::ok(), &[], |builder| {
        builder.yaml("reload: { interval: 0 }")
    });
    let post = |name: &str| assert_eq!(rig.send(&Request::profile(name, BODY)).status(), 500);
    post("always");
    rig.settled(1);
    rig.relay.reload_with(&configuration(
        &rig,
        &[],
        &["tee: { on: upstream-success }"],
    ));
    post("never");
    rig.relay.reload_with(&configuration(&rig, &[], &[]));
    post("again");
    rig.settled(2);
    assert_eq!(names(&rig.target), ["always", "again"]);
}
