//! The requests that a target gets, and the responses that count as success.

use std::collections::BTreeMap;

use crate::support::{
    Answer, Builder, Client, Count, Relay, Request, Rig, SOON, Upstream,
    client::noise,
    key::{self, Key},
    poll,
};

/// Sends a profile of each name, one after the other, on one connection.
pub(crate) fn send_named(relay: &Relay, names: impl IntoIterator<Item = String>) {
    let mut client = Client::connect(relay.addr());
    for name in names {
        let answer = client.exchange(&Request::profile(&name, b"profile"));
        assert_eq!(answer.status(), 200, "{name}");
    }
}

#[test]
fn a_target_gets_its_tags_tenant_headers_and_token() {
    let options = [
        "auth-token: token-of-central",
        "tenant-id: team-a",
        "tags: { env: prod, cluster-name: eu }",
        "headers: { X-Scope: \"1\", Via-Relay: \"yes\" }",
    ];
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &options, |builder| builder);
    let request = Request::profile("app%7Benv%3Ddev%2Ca%3Db%7D", b"profile")
        .field("Content-Type", "binary/octet-stream+pprof")
        .field("Content-Encoding", "gzip")
        .field("User-Agent", "sdk/1");
    assert_eq!(rig.send(&request).status(), 200);
    let got = rig.target.only();
    assert_eq!(got.head.method(), "POST");
    assert_eq!(got.head.path(), "/ingest");
    assert_eq!(got.body.data, b"profile");
    let expected = Key::new(
        "app",
        &[("a", "b"), ("cluster_name", "eu"), ("env", "prod")],
    );
    assert_eq!(Key::of(&got.head.query()), expected);
    let fields = [
        ("authorization", "Bearer token-of-central"),
        ("x-scope-orgid", "team-a"),
        ("x-scope", "1"),
        ("via-relay", "yes"),
        ("content-type", "binary/octet-stream+pprof"),
        ("content-encoding", "gzip"),
        ("content-length", "7"),
    ];
    for (name, value) in fields {
        assert_eq!(got.head.get(name).as_deref(), Some(value), "{name}");
    }
    let host = got.head.get("host");
    assert_eq!(host, Some(rig.target.address().to_string()));
    // Header fields of the client's connection or path are not sent to targets.
    for name in ["x-forwarded-for", "x-forwarded-host", "te", "connection"] {
        assert!(!got.head.has(name), "{name}");
    }
}

#[test]
fn each_target_gets_the_same_profile_with_its_own_tags() {
    let (upstream, one, two) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("one", &one, &["tags: { to: one }"])
        .target("two", &two, &["tags: { to: two }", "tenant-id: two"])
        .spawn();
    let body = noise(200_000);
    relay.send(&Request::profile("app", &body));
    for (target, name) in [(&one, "one"), (&two, "two")] {
        let got = target.only();
        assert!(got.body.data == body);
        assert_eq!(Key::of(&got.head.query()), Key::new("app", &[("to", name)]));
        assert_eq!(got.head.has("x-scope-orgid"), name == "two");
    }
}

#[test]
fn basic_credentials_are_sent_whether_as_keys_or_in_the_address() {
    let (upstream, keys, userinfo) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let address = userinfo.url().replace("//", "//me:p%40ss%3Aword@");
    let relay = Relay::builder()
        .upstream(&upstream)
        .target(
            "keys",
            &keys,
            &["basic-auth-user: me", "basic-auth-password: \"p@ss:word\""],
        )
        .target_address("userinfo", &address, &[])
        .spawn();
    relay.send(&Request::profile("app", b"profile"));
    for target in [keys, userinfo] {
        let got = target.only();
        // me:p@ss:word
        let expected = "Basic bWU6cEBzczp3b3Jk".to_owned();
        assert_eq!(got.head.get("authorization"), Some(expected));
        assert_eq!(got.head.get("host"), Some(target.address().to_string()));
    }
}

#[test]
fn a_prefix_of_an_address_goes_before_the_path_and_a_slash_at_its_end_is_harmless() {
    let upstream = Upstream::ok();
    let cases = [
        ("", "/ingest"),
        ("/", "/ingest"),
        ("/base", "/base/ingest"),
        ("/base/", "/base/ingest"),
        ("/a/b%20c/", "/a/b%20c/ingest"),
    ];
    for (suffix, path) in cases {
        let target = Upstream::ok();
        let relay = Relay::builder()
            .upstream(&upstream)
            .target_address("central", &format!("{}{suffix}", target.url()), &[])
            .spawn();
        // A prefix in the client's path is for the upstream only.
        relay.send(&Request::post(
            "/pyroscope/ingest?name=app&from=1&until=2",
            b"x",
        ));
        assert_eq!(target.only().head.path(), path, "{suffix:?}");
    }
}

#[test]
fn every_2xx_is_a_success_whatever_its_body() {
    let target = Upstream::script(|arrival| match arrival.index {
        0 => Answer::raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
        1 => Answer::status(202, &noise(300_000)),
        2 => Answer::chunked(&[b"a", b"b"], &[]),
        3 => Answer::error(200, "internal", "not really"),
        // A response that breaks off after its status: the status alone counts.
        _ => Answer::raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").close(),
    });
    let rig = Rig::with(Upstream::ok(), target, &["queue-workers: 1"], |b| b);
    for index in 0..5 {
        rig.send(&Request::profile("app", b"profile"));
        rig.settled(index + 1);
    }
    assert_eq!(rig.settled(5).sent, Count::new(5, 35));
    assert_eq!(rig.target.requests().len(), 5);
}

#[test]
fn what_a_target_says_when_it_refuses_is_logged_shortened_and_not_each_time() {
    let target = Upstream::answering(Answer::status(400, &vec![b'z'; 100_000]));
    let rig = Rig::with(Upstream::ok(), target, &["queue-size: 1000"], |b| b);
    send_named(&rig.relay, (0..100).map(|index| format!("app{index}")));
    rig.settled(100);
    let refusals = || {
        let mut lines = rig.relay.logs();
        lines.retain(|line| line.get("left_out").is_some());
        lines
    };
    let lines = refusals();
    assert!((1..=2).contains(&lines.len()), "{}", lines.len());
    for line in &lines {
        assert_eq!(line["target"], "central");
        assert_eq!(line["status"], 400);
        let answer = line["answer"].as_str().expect("what it said");
        assert!(
            !answer.is_empty() && answer.len() <= 2048,
            "{}",
            answer.len()
        );
    }
    // A later line has the number of refusals that were not logged.
    let spoken = poll(3 * SOON, || {
        rig.send(&Request::profile("app", b"profile"));
        let lines = refusals();
        lines
            .iter()
            .any(|line| line["left_out"].as_u64() >= Some(98))
            .then_some(())
    });
    assert!(spoken.is_some(), "{:?}", refusals().len());
}

#[test]
fn times_a_client_leaves_out_are_those_of_receipt() {
    const SECOND: u64 = 1_000_000_000;
    let before = seconds();
    let rig = Rig::new();
    for times in ["", "&from=&until=", "&from=now-10s&until=now"] {
        rig.send(&Request::post(&format!("/ingest?name=app{times}"), b"x"));
    }
    rig.settled(3);
    for request in rig.target.requests() {
        let query = request.head.query();
        let pairs: BTreeMap<_, _> = key::pairs(&query).into_iter().collect();
        for name in ["from", "until"] {
            let value: u64 = pairs[name].parse().unwrap_or_else(|_| panic!("{query}"));
            let value = value / SECOND;
            assert!((before - 10..=seconds()).contains(&value), "{query}");
        }
    }
    let asked = rig.upstream.requests();
    assert!(asked.iter().any(|r| r.head.query() == "name=app"));
    assert!(asked.iter().any(|r| r.head.query().contains("now-10s")));
}

fn seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is after 1970").as_secs()
}

#[test]
fn only_what_the_upstream_took_is_teed_if_so_asked() {
    let upstream = Upstream::script(|arrival| match arrival.index {
        0 => Answer::status(422, b"no"),
        _ => Answer::ok(),
    });
    let only: fn(Builder) -> Builder = |builder| builder.yaml("tee: { on: upstream-success }");
    let rig = Rig::with(upstream, Upstream::ok(), &[], only);
    assert_eq!(rig.send(&Request::profile("no", b"profile")).status(), 422);
    assert_eq!(rig.send(&Request::profile("yes", b"profile")).status(), 200);
    let query = rig.target.only().head.query();
    assert_eq!(Key::of(&query).app, "yes");
    let labels = [("result", "skipped_local_rejected")];
    let metrics = rig.relay.metrics();
    assert_eq!(metrics.sum("pyroscope_relay_tee_total", &labels), 1.0);
}
