//! The query of an upload: untouched for the upstream, only `name` changed for a target.

use std::time::{Duration, SystemTime};

use crate::{
    captures::assert_same_but_name,
    support::{Answer, Count, Request, Rig, Upstream, key, key::Key, verbatim},
};

/// Uploads with `query` and returns the raw queries that the upstream and the target got.
fn pass(rig: &Rig, query: &str) -> (String, String) {
    let answer = rig.send(&Request::post(&format!("/ingest?{query}"), b"profile"));
    assert_eq!(answer.status(), 200);
    (
        rig.upstream.only().head.query(),
        rig.target.only().head.query(),
    )
}

#[test]
fn order_unknown_and_empty_parameters_are_kept() {
    let query = "zz=1&from=1795397392000000000&spyVersion=9.1&name=app.cpu%7Ba%3Db%7D&units=&\
                 aggregationType=&sampleRate=0&foo&&until=1795397404433919547&name2=x%2Fy";
    let rig = Rig::tagged("env: test");
    let (upstream, target) = pass(&rig, query);
    assert_eq!(upstream, query);
    assert_same_but_name(query, &target);
    assert_eq!(
        Key::of(&target),
        Key::new("app.cpu", &[("a", "b"), ("env", "test")])
    );
}

#[test]
fn a_target_without_tags_gets_the_query_as_it_was() {
    let query = "until=1795397404&name=app%7Bb%3D1%2Ca%3D2%7D&from=1795397392&x=%zz";
    let (upstream, target) = pass(&Rig::new(), query);
    assert_eq!(upstream, query);
    assert_same_but_name(query, &target);
    assert_eq!(Key::of(&target), Key::of(query));
}

#[test]
fn absolute_times_are_never_converted() {
    for time in [
        "1795397392000000000",
        "1795397392000000",
        "1795397392000",
        "1795397392",
    ] {
        let query = format!("name=app&from={time}&until={time}");
        let (upstream, target) = pass(&Rig::tagged("env: test"), &query);
        assert_eq!(upstream, query);
        assert_same_but_name(&query, &target);
    }
}

#[test]
fn relative_times_are_resolved_for_targets_only() {
    // At the time of delivery `now` would be another time.
    let query = "name=app&from=now-1h&until=now";
    let before = unix_now();
    let (upstream, target) = pass(&Rig::tagged("env: test"), query);
    assert_eq!(upstream, query);
    let (from, until) = (nanoseconds(&target, "from"), nanoseconds(&target, "until"));
    assert!((before..=unix_now()).contains(&until), "{target}");
    assert_eq!(until, from + 3_600_000_000_000, "one receipt: {target}");
}

#[test]
fn missing_times_become_the_time_of_receipt_for_targets() {
    for query in ["name=app", "name=app&from=&until=", "until=&name=app"] {
        let before = unix_now();
        let (upstream, target) = pass(&Rig::tagged("env: test"), query);
        assert_eq!(upstream, query);
        for name in ["from", "until"] {
            // The first value of a repeated parameter counts, as in Go.
            assert!(
                (before..=unix_now()).contains(&nanoseconds(&target, name)),
                "{query}: {target}"
            );
        }
    }
}

#[test]
fn spaces_and_pluses_are_decoded_once_and_encoded_once() {
    let query = "name=a{v=OpenJDK%20Runtime,w=17%2B6}&from=1&until=2";
    let (upstream, target) = pass(&Rig::tagged("env: test"), query);
    assert_eq!(upstream, query);
    let tags = [("v", "OpenJDK Runtime"), ("w", "17+6"), ("env", "test")];
    assert_eq!(Key::of(&target), Key::new("a", &tags));

    let query = "name=a{v=x+y}&from=1&until=2";
    let (upstream, target) = pass(&Rig::tagged("env: test"), query);
    assert_eq!(upstream, query);
    assert_eq!(
        Key::of(&target),
        Key::new("a", &[("v", "x y"), ("env", "test")])
    );
}

#[test]
fn values_with_strange_characters_pass_verbatim() {
    // Characters that hyper accepts.
    let query = "name=foo{a=b=c,u=日本,s=b\\c,o=x{y,p=%7C|`^}&from=1&until=2&bad=%zz";
    let (upstream, target) = pass(&Rig::tagged("env: test"), query);
    assert_eq!(upstream, query);
    assert_same_but_name(query, &target);
    let tags = [
        ("a", "b=c"),
        ("u", "日本"),
        ("s", "b\\c"),
        ("o", "x{y"),
        ("p", "||`^"),
        ("env", "test"),
    ];
    assert_eq!(Key::of(&target), Key::new("foo", &tags));
}

#[test]
fn semicolons_are_not_repaired() {
    // Go drops a pair with a raw `;`, so for Pyroscope there is no name at all.
    refused_by_all("name=a{x=1;y=2}&from=1");
}

#[test]
fn a_bad_escape_in_the_name_reaches_no_target() {
    refused_by_all("name=a%zz&from=1&until=2");
}

#[test]
fn a_name_with_two_brace_groups_reaches_no_target() {
    refused_by_all("name=app{foo=bar}{fiz=baz}&from=1&until=2");
}

#[test]
fn a_missing_name_reaches_no_target() {
    refused_by_all("from=1&until=2&Name=app");
}

/// Asserts that the upstream gets the raw query and its response passes, and that the target gets nothing and the drop
/// is counted.
fn refused_by_all(query: &str) {
    let refusal = Answer::error(
        400,
        "invalid_argument",
        "name: application name is required",
    );
    let rig = Rig::with(
        Upstream::answering(refusal),
        Upstream::ok(),
        &["tags: {a: b}"],
        verbatim,
    );
    let answer = rig.send(&Request::post(&format!("/ingest?{query}"), b"profile"));
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json()["code"], "invalid_argument");
    assert_eq!(rig.upstream.only().head.query(), query);
    let ledger = rig.settled(1);
    assert_eq!(
        ledger.dropped("invalid_name"),
        Count::new(1, b"profile".len())
    );
    assert!(rig.target.arrivals().is_empty());
}

#[test]
fn invalid_utf8_in_a_value_is_no_reason_to_change_it_for_the_upstream() {
    let query = "name=a%7Bx%3D%FF%7D&from=1&until=2";
    let rig = Rig::tagged("env: test");
    assert_eq!(
        rig.send(&Request::post(&format!("/ingest?{query}"), b"x"))
            .status(),
        200
    );
    assert_eq!(rig.upstream.only().head.query(), query);
    let ledger = rig.settled(1);
    assert_eq!(
        ledger.sent.profiles + ledger.dropped("invalid_name").profiles,
        1,
        "{ledger:?}"
    );
}

fn unix_now() -> u128 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_nanos()
}

fn nanoseconds(query: &str, name: &str) -> u128 {
    let value = key::parameter(query, name).unwrap_or_else(|| panic!("no {name} in {query}"));
    assert_eq!(value.len(), 19, "other lengths are other units: {query}");
    value
        .parse()
        .unwrap_or_else(|_| panic!("{name} is no Unix time in {query}"))
}
