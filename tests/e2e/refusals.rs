//! Profiles that a target does not accept as they are.

use crate::support::{Answer, Count, Relay, Request, Rig, Upstream, key::Key};

#[test]
fn a_key_an_old_target_refuses_is_sent_once_and_dropped() {
    let refusal = Answer::status(400, b"invalid parameter: \"name: invalid tag key: a.b\"\n");
    let target = Upstream::answering(refusal);
    let rig = Rig::with(Upstream::ok(), target, &["tags: {env: x}"], |builder| {
        builder
    });
    rig.send(&Request::profile("foo/bar{a.b=1}", b"profile"));
    let ledger = rig.settled(1);
    assert_eq!(ledger.dropped("rejected"), Count::new(1, b"profile".len()));
    let expected = Key::new("foo/bar", &[("a.b", "1"), ("env", "x")]);
    assert_eq!(Key::of(&rig.target.only().head.query()), expected);
}

#[test]
fn too_many_labels_for_one_target_are_no_matter_to_another() {
    let message = "max_label_names_per_series: profile has 31 label names; limit 30";
    let strict = Upstream::answering(Answer::error(422, "unknown", message));
    let lenient = Upstream::ok();
    let upstream = Upstream::ok();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("strict", &strict, &["tags: {a: x, b: x, c: x, d: x}"])
        .target("lenient", &lenient, &[])
        .spawn();
    let labels: Vec<_> = (0..27).map(|n| format!("k{n}=v")).collect();
    let name = format!("foo{{{}}}", labels.join(","));
    assert_eq!(
        relay.send(&Request::profile(&name, b"profile")).status(),
        200
    );
    let ledger = relay.wait_ledger("strict", "a drop", |ledger| ledger.lost().profiles == 1);
    assert_eq!(ledger.dropped("rejected").profiles, 1, "{ledger:?}");
    relay.wait_ledger("lenient", "a delivery", |ledger| ledger.sent.profiles == 1);
    assert_eq!(strict.requests().len(), 1);
}

#[test]
fn an_empty_profile_has_a_length_for_the_target() {
    // RFC 9110 §8.6: some servers respond with a 411 to a request without a length.
    let rig = Rig::new();
    rig.send(&Request::profile("app", b""));
    let length = rig.target.only().head.get("content-length");
    assert_eq!(length, Some("0".to_owned()));
}
