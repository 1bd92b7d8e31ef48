//! Push: profiles whose labels are in the body, as the SDKs of today send them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    Answer, Builder, Client, Count, Relay, Request, Rig, SOON, Upstream, captures,
    client::noise,
    eventually,
    message::{self, Series, field, gunzip, gzip, label, one_series, series},
    verbatim,
};

pub(crate) const PATH: &str = "/push.v1.PusherService/Push";

/// Header fields of a client that a target must never receive.
const PRIVATE: [&str; 5] = [
    "authorization",
    "x-scope-orgid",
    "accept",
    "connect-timeout-ms",
    "x-forwarded-for",
];

pub(crate) fn push(body: &[u8]) -> Request {
    Request::post(PATH, body).field("Content-Type", "application/proto")
}

pub(crate) fn packed(plain: &[u8]) -> Request {
    push(&gzip(plain)).field("Content-Encoding", "gzip")
}

/// A small message with one series.
pub(crate) fn small() -> Vec<u8> {
    one_series(
        &[("__name__", "process_cpu"), ("service_name", "shop")],
        b"profile",
    )
}

/// A relay with two targets: `tagged` has the tag `env: x`, `plain` has none.
pub(crate) struct Pair {
    pub(crate) relay: Relay,
    pub(crate) upstream: Upstream,
    pub(crate) tagged: Upstream,
    pub(crate) plain: Upstream,
}

impl Pair {
    pub(crate) fn new(upstream: Upstream, build: impl FnOnce(Builder) -> Builder) -> Self {
        let (tagged, plain) = (Upstream::ok(), Upstream::ok());
        let builder = Relay::builder()
            .upstream(&upstream)
            .target("tagged", &tagged, &["tags: { env: x }"])
            .target("plain", &plain, &[]);
        Self {
            relay: build(verbatim(builder)).spawn(),
            upstream,
            tagged,
            plain,
        }
    }
}

/// The body of a request that is not sent yet.
pub(crate) fn body(request: &Request) -> Vec<u8> {
    request.bytes()[request.head().len()..].to_vec()
}

/// Asserts what tagging must do: labels with the names of the tags are gone, and each tag is there once.
fn assert_tagged(before: &[Series], after: &[Series], tags: &[(&str, &str)]) {
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(after) {
        let is_tag = |label: &(String, String)| tags.iter().any(|(name, _)| *name == label.0);
        let (mut set, kept): (Vec<_>, Vec<_>) = after.labels.iter().cloned().partition(is_tag);
        let mut expected: Vec<(String, String)> = tags
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        set.sort();
        expected.sort();
        assert_eq!(set, expected, "{after:?}");
        let mut others = before.labels.clone();
        others.retain(|label| !is_tag(label));
        assert_eq!(kept, others);
        assert!(after.profiles == before.profiles, "a profile was changed");
        assert_eq!(after.unknown, before.unknown);
    }
}

#[test]
fn captured_pushes_are_tagged_in_every_series_and_keep_their_profiles() {
    // Both profiles were packed and have a label `region` of their own.
    for capture in captures::to(PATH) {
        let (upstream, tagged, plain) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
        let builder = Relay::builder()
            .upstream(&upstream)
            .target(
                "tagged",
                &tagged,
                &["tags: { region: here, relay: \"yes\" }"],
            )
            .target("plain", &plain, &[]);
        let relay = verbatim(builder).spawn();
        let answer = Client::connect(relay.addr()).send(&capture.bytes).receive();
        assert_eq!(answer.status(), 200);

        let arrived = upstream.only();
        assert_eq!(
            arrived.head.raw(),
            capture.end_to_end_head(),
            "{}",
            capture.file
        );
        assert_eq!(arrived.body.raw, capture.body);
        let untouched = plain.only();
        assert_eq!(untouched.body.raw, capture.body, "{}", capture.file);
        let teed = tagged.only();
        let (before, after) = (gunzip(&capture.body), gunzip(&teed.body.data));
        let tags = [("region", "here"), ("relay", "yes")];
        assert!(!series(&before).is_empty());
        assert_tagged(&series(&before), &series(&after), &tags);

        for (target, request) in [(&tagged, &teed), (&plain, &untouched)] {
            let head = &request.head;
            assert_eq!(head.start_line(), format!("POST {PATH} HTTP/1.1"));
            assert_eq!(
                head.get("content-type"),
                Some("application/proto".to_owned())
            );
            assert_eq!(head.get("content-encoding"), Some("gzip".to_owned()));
            let length = request.body.data.len().to_string();
            assert_eq!(head.get("content-length"), Some(length));
            assert_eq!(head.get("host"), Some(target.address().to_string()));
            for name in PRIVATE {
                assert!(!head.has(name), "{name} went out:\n{}", head.text());
            }
            for word in ["dXNlcjpwYXNz", "pyroscope-rs"] {
                assert!(!head.text().contains(word), "{}", head.text());
            }
        }
    }
}

#[test]
fn a_plain_push_stays_plain_and_what_no_schema_knows_stays_where_it_was() {
    // As the .NET SDK sends it, with a static tag twice.
    let strange = [field(15, b"later"), b"\x80\x01\x07".to_vec()].concat();
    let mut inner = [
        label("env", "old"),
        field(9, b"unknown"),
        label("a", "1"),
        label("a", "1"),
        label("env", "older"),
        field(2, &field(1, &noise(5_000))),
        label("z", "late"),
    ]
    .concat();
    inner.extend(field(2, &field(1, b"second")));
    let body = [field(1, &inner), strange.clone(), small()].concat();
    let pair = Pair::new(Upstream::ok(), |builder| builder);
    assert_eq!(pair.relay.send(&push(&body)).status(), 200);
    assert_eq!(pair.upstream.only().body.raw, body);
    assert_eq!(pair.plain.only().body.raw, body);
    let teed = pair.tagged.only();
    assert!(!teed.head.has("content-encoding"), "{}", teed.head.text());
    assert_tagged(&series(&body), &series(&teed.body.data), &[("env", "x")]);
    let numbers = |message: &[u8]| -> Vec<u64> {
        message::fields(message).iter().map(|f| f.number).collect()
    };
    assert_eq!(numbers(&teed.body.data), numbers(&body));
    let strays = |data: &[u8]| {
        data.windows(strange.len())
            .filter(|w| *w == strange)
            .count()
    };
    assert_eq!(strays(&teed.body.data), 1);
}

#[test]
fn a_push_in_json_gets_its_labels_and_keeps_its_base64() {
    let body = br#"{ "future": [1, 2.50], "series": [
        {"labels": [{"name": "env", "value": "old"}, {"name": "a", "value": "{,\n}"}],
         "samples": [{"rawProfile": "H4sIAAAA\/+8=", "ID": "an-id"}]},
        {"samples": []} ] }"#;
    for (request, coding) in [
        (Request::post(PATH, body), None),
        (
            Request::post(PATH, &gzip(body)).field("Content-Encoding", "gzip"),
            Some("gzip".to_owned()),
        ),
    ] {
        let request = request.field("Content-Type", "application/json");
        let pair = Pair::new(Upstream::answering(Answer::status(200, b"{}")), |b| b);
        assert_eq!(pair.relay.send(&request).body.data, b"{}");
        let sent = self::body(&request);
        assert_eq!(pair.upstream.only().body.raw, sent);
        assert_eq!(pair.plain.only().body.raw, sent);
        let teed = pair.tagged.only();
        assert_eq!(
            teed.head.get("content-type"),
            Some("application/json".to_owned())
        );
        assert_eq!(teed.head.get("content-encoding"), coding);
        let plain = match coding {
            Some(_) => gunzip(&teed.body.data),
            None => teed.body.data,
        };
        let text = std::str::from_utf8(&plain).unwrap();
        assert!(text.contains(r#""H4sIAAAA\/+8=""#), "{text}");
        assert!(text.contains("2.50"), "{text}");
        let read: Value = serde_json::from_str(text).unwrap();
        let all = read["series"].as_array().unwrap();
        assert_eq!(all.len(), 2, "{text}");
        for (series, others) in all.iter().zip([1, 0]) {
            let labels = series["labels"].as_array().unwrap();
            assert_eq!(labels.len(), 1 + others, "{text}");
            let env = labels.iter().filter(|label| label["name"] == "env");
            assert_eq!(env.map(|l| &l["value"]).collect::<Vec<_>>(), ["x"]);
        }
        let kept = all[0]["labels"].as_array().unwrap().iter();
        assert!(kept.clone().any(|label| label["value"] == "{,\n}"));
    }
}

#[test]
fn labels_are_free_texts_and_the_name_of_a_service_can_be_replaced() {
    // The tag `__name__` is refused at the start, as for every surface.
    let labels = [
        ("__name__", "process_cpu"),
        ("service_name", "old"),
        ("odd", "a,b}{c=\n\"d\""),
        ("dotted.key-é", "x"),
        ("empty", ""),
    ];
    let body = [one_series(&labels, b"1"), one_series(&[], b"2")].concat();
    let rig = Rig::tagged("service_name: new, cluster-name: c");
    assert_eq!(rig.send(&packed(&body)).status(), 200);
    let teed = gunzip(&rig.target.only().body.data);
    let tags = [("service_name", "new"), ("cluster_name", "c")];
    assert_tagged(&series(&body), &series(&teed), &tags);
}

#[test]
fn each_of_several_targets_gets_its_own_tags() {
    let upstream = Upstream::ok();
    let targets = [(); 4].map(|()| Upstream::ok());
    let tags = ["{ env: x }", "{ env: x }", "{ env: y, b: c }", "{}"];
    let mut builder = Relay::builder().upstream(&upstream);
    for (nth, (target, tags)) in targets.iter().zip(tags).enumerate() {
        builder = builder.target(&format!("t{nth}"), target, &[&format!("tags: {tags}")]);
    }
    let relay = builder.spawn();
    let body = [small(), one_series(&[("env", "dev")], &noise(20_000))].concat();
    let request = packed(&body);
    assert_eq!(relay.send(&request).status(), 200);
    let [first, same, other, none] = targets.each_ref().map(|t| t.only().body.data);
    assert_tagged(&series(&body), &series(&gunzip(&first)), &[("env", "x")]);
    assert_eq!(first, same);
    let tags = [("env", "y"), ("b", "c")];
    assert_tagged(&series(&body), &series(&gunzip(&other)), &tags);
    assert_eq!(none, self::body(&request));
    for nth in 0..4 {
        let length = self::body(&request).len();
        relay.wait_ledger(&format!("t{nth}"), "it sent", |ledger| {
            ledger.sent == Count::new(1, length) && ledger.pending == Count::default()
        });
    }
}

#[test]
fn a_prefix_is_the_upstreams_and_a_target_has_its_own() {
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let address = format!("{}/other/", target.url());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &address, &["tags: { env: x }"])
        .spawn();
    let path = "/base//x/push.v1.PusherService/%50ush?q=1";
    let request = Request::post(path, &small()).field("Content-Type", "application/proto");
    assert_eq!(relay.send(&request).status(), 200);
    assert_eq!(upstream.only().head.target(), path);
    assert_eq!(target.only().head.target(), format!("/other{PATH}?q=1"));
}

#[test]
fn the_patience_of_a_connect_client_is_told_to_the_upstream_alone() {
    let late = Answer::ok().after(Duration::from_millis(300));
    let rig = Rig::with(
        Upstream::answering(late),
        Upstream::ok(),
        &["tags: { env: x }"],
        verbatim,
    );
    let request = packed(&small())
        .field("Connect-Protocol-Version", "1")
        .field("Connect-Timeout-Ms", "100");
    // The response to this timeout is a matter between client and upstream.
    assert_eq!(rig.send(&request).status(), 200);
    let head = rig.upstream.only().head;
    assert_eq!(head.get("connect-timeout-ms"), Some("100".to_owned()));
    assert_eq!(head.get("connect-protocol-version"), Some("1".to_owned()));
    assert!(!rig.target.only().head.has("connect-timeout-ms"));
}

#[test]
fn a_target_that_takes_no_pushes_gets_the_other_profiles() {
    // As a Pyroscope before 1.0 answers.
    let target = Upstream::script(|arrival| match arrival.head.path().as_str() {
        "/ingest" => Answer::ok(),
        _ => Answer::status(404, b"404 page not found\n"),
    });
    let rig = Rig::with(Upstream::ok(), target, &["tags: { env: x }"], verbatim);
    // Five different Pushes must be refused before the surface is probed with two others.
    for _ in 0..8 {
        assert_eq!(rig.send(&packed(&small())).status(), 200);
    }
    rig.send(&Request::profile("app", b"profile"));
    let ledger = rig
        .relay
        .wait_ledger("central", "the other", |ledger| ledger.sent.profiles == 1);
    assert_eq!(ledger.pending.profiles, 8, "{ledger:?}");
    let warnings = || {
        let lines = rig.relay.logs();
        let told = |line: &&Value| line["state"] == "suspended" && line.to_string().contains("404");
        lines.iter().filter(told).count()
    };
    // If all eight were in flight when the fifth was refused, the probes need further Pushes.
    let mut next = Instant::now();
    eventually(SOON, "suspended", || {
        if Instant::now() >= next {
            rig.send(&packed(&small()));
            next += Duration::from_millis(500);
        }
        warnings() > 0
    });
    assert_eq!(warnings(), 1, "{}", rig.relay.output());
}
