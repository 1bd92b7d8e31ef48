//! Tags of a target in the name of a profile.

use crate::support::{Relay, Request, Rig, SOON, key, key::Key};

/// Uploads a profile called `name` (raw) and returns the name that the target reads.
fn tagged(tags: &str, name: &str) -> Key {
    Key::of(&query(tags, name))
}

fn query(tags: &str, name: &str) -> String {
    let rig = Rig::tagged(tags);
    let target = format!("/ingest?name={name}&from=1795397490&until=1795397500");
    assert_eq!(rig.send(&Request::post(&target, b"profile")).status(), 200);
    assert_eq!(rig.upstream.only().head.target(), target);
    rig.target.only().head.query()
}

#[test]
fn names_with_open_ends_are_read_as_pyroscope_reads_them() {
    // The last tag of an unterminated name is lost, as in a Pyroscope.
    for name in ["foo", "foo{", "foo{}", "foo{a=1", "foo{a}"] {
        assert_eq!(
            tagged("env: x", name),
            Key::new("foo", &[("env", "x")]),
            "{name}"
        );
    }
    let expected = Key::new("foo", &[("a", "1"), ("env", "x")]);
    assert_eq!(tagged("env: x", "foo{a=1,}"), expected);
    assert_eq!(tagged("env: x", "foo{a=1,b=2"), expected);
}

#[test]
fn the_last_of_two_equal_tags_wins() {
    let expected = Key::new("foo", &[("a", "y"), ("env", "x")]);
    assert_eq!(tagged("env: x", "foo{a=x,a=y}"), expected);
}

#[test]
fn of_two_names_the_first_one_is_tagged() {
    let query = query("env: x", "first&name=second");
    assert_eq!(Key::of(&query), Key::new("first", &[("env", "x")]));
    let names = key::pairs(&query)
        .into_iter()
        .filter(|(name, _)| name == "name");
    let tagged = names.filter(|(_, value)| value.contains("env")).count();
    assert_eq!(tagged, 1, "{query}");
}

#[test]
fn the_tag_of_the_target_wins() {
    let expected = Key::new("foo", &[("env", "prod"), ("pod", "p")]);
    assert_eq!(
        tagged("env: prod", "foo%7Benv%3Ddev%2Cpod%3Dp%7D"),
        expected
    );
}

#[test]
fn an_overridden_application_name_stands_once() {
    let query = query("env: x", "foo{__name__=other,a=1}");
    let name = key::parameter(&query, "name").unwrap();
    assert!(name.matches("__name__").count() <= 1, "{name}");
    let mut key = Key::of(&query);
    let app = key.tags.remove("__name__").unwrap_or(key.app);
    assert_eq!(app, "other", "{name}");
    assert_eq!(key.tags, Key::new("", &[("a", "1"), ("env", "x")]).tags);
}

#[test]
fn a_dash_in_the_key_of_a_tag_becomes_an_underscore_and_is_said_once() {
    // The example in Pyroscope's own documentation must work.
    let rig = Rig::tagged("cluster-name: my-cluster");
    for _ in 0..3 {
        rig.send(&Request::profile("foo", b"x"));
    }
    for request in rig.target.wait_for(3, SOON) {
        assert_eq!(
            Key::of(&request.head.query()),
            Key::new("foo", &[("cluster_name", "my-cluster")])
        );
    }
    let warnings = rig.relay.logs();
    let warnings = warnings
        .iter()
        .filter(|line| line["level"] == "WARN" && line.to_string().contains("cluster-name"));
    assert_eq!(warnings.count(), 1, "{}", rig.relay.output());
}

#[test]
fn tags_that_would_inject_labels_or_are_reserved_stop_the_start() {
    let cases = [
        ("pod", "\"a,b=c\""),
        ("zone", "\"a}\""),
        ("__name__", "other"),
        ("pyroscope_spy", "gospy"),
        ("profile_id", "1"),
        ("jfr_event", "cpu"),
    ];
    for (tag, value) in cases {
        let tags = format!("tags: {{ {tag}: {value} }}");
        let builder = Relay::builder().target_address("central", "http://127.0.0.1:1", &[&tags]);
        let ended = builder.refused();
        assert!(!ended.status.success(), "{tag}: {value} was taken");
        for word in ["central", tag] {
            assert!(
                ended.output.contains(word),
                "{word} is not named in\n{}",
                ended.output
            );
        }
    }
}

#[test]
fn a_service_name_stands_once() {
    let expected = Key::new("foo", &[("service_name", "new")]);
    assert_eq!(
        tagged("service_name: new", "foo{service_name=old}"),
        expected
    );
}

#[test]
fn a_hundred_labels_and_long_values_pass() {
    let labels: Vec<_> = (0..100)
        .map(|n| format!("k{n}={}", "v".repeat(80)))
        .collect();
    let key = tagged("env: x", &format!("foo{{{}}}", labels.join(",")));
    assert_eq!(key.tags.len(), 101);
    assert_eq!(key.tags["k99"], "v".repeat(80));
}
