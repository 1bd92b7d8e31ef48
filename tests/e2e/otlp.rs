//! Profiles of OpenTelemetry: tags are attributes of resources.

use crate::support::{
    Answer, Count, Relay, Request, Rig, SOON, Upstream,
    client::noise,
    message::{all, export, gunzip, gzip, resources},
    verbatim,
};

const PATH: &str = "/v1development/profiles";

/// The tags of the target, which become attributes of each resource.
const TAGS: [&str; 1] = ["tags: { env: x, zone: new }"];

fn two() -> Vec<u8> {
    let first = export(&[("zone", "shop"), ("env", "old"), ("a", "1")]);
    [first, export(&[("a", "2")])].concat()
}

fn post(kind: &str, body: &[u8]) -> Request {
    Request::post(PATH, body).field("Content-Type", kind)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    pairs.sort();
    pairs
}

/// Checks what tagging made of [`two`].
fn assert_tagged(message: &[u8]) {
    let mut resources = resources(message);
    resources.iter_mut().for_each(|resource| resource.sort());
    let expected = ["1", "2"].map(|a| pairs(&[("a", a), ("env", "x"), ("zone", "new")]));
    assert_eq!(resources, expected);
    let scopes = |message: &[u8]| -> Vec<_> {
        let profiles = all(message, 1).into_iter();
        profiles.flat_map(|profiles| all(&profiles, 2)).collect()
    };
    assert_eq!(scopes(message), scopes(&two()));
    assert_eq!(all(message, 2), all(&two(), 2));
}

#[test]
fn the_attributes_of_every_resource_are_tagged() {
    for kind in ["application/x-protobuf", "application/protobuf"] {
        for coding in [None, Some("gzip")] {
            let answer = Answer::with(200, &[("Content-Type", "application/x-protobuf")], b"");
            let rig = Rig::with(Upstream::answering(answer), Upstream::ok(), &TAGS, verbatim);
            let (body, request) = match coding {
                None => (two(), post(kind, &two())),
                Some(name) => {
                    let body = gzip(&two());
                    let request = post(kind, &body).field("Content-Encoding", name);
                    (body, request)
                }
            };
            let answer = rig.send(&request);
            let fields = answer.head.fields();
            assert_eq!(
                (answer.status(), fields[0].1.as_str()),
                (200, "application/x-protobuf")
            );
            let arrived = rig.upstream.only();
            assert_eq!(arrived.head.get("content-type"), Some(kind.to_owned()));
            assert_eq!(arrived.body.raw, body);
            let teed = rig.target.only();
            assert_eq!(teed.head.start_line(), format!("POST {PATH} HTTP/1.1"));
            let head = &teed.head;
            assert_eq!(
                head.get("content-type"),
                Some("application/x-protobuf".to_owned())
            );
            assert_eq!(head.get("content-encoding"), coding.map(str::to_owned));
            match coding {
                None => assert_tagged(&teed.body.data),
                Some(_) => assert_tagged(&gunzip(&teed.body.data)),
            }
        }
    }
}

#[test]
fn an_export_in_json_is_tagged() {
    let body = br#"{"resourceProfiles":[{"resource":{"attributes":[
        {"key":"env","value":{"stringValue":"old"}},
        {"key":"n","value":{"intValue":"7"}}]},
        "scopeProfiles":[{"profiles":[{"profileId":"00ff"}]}]}],"x":1.0}"#;
    let rig = Rig::with(Upstream::ok(), Upstream::ok(), &TAGS, verbatim);
    assert_eq!(rig.send(&post("application/json", body)).status(), 200);
    assert_eq!(rig.upstream.only().body.raw, body);
    let teed = rig.target.only();
    let kind = teed.head.get("content-type");
    assert_eq!(kind, Some("application/json".to_owned()));
    let text = String::from_utf8(teed.body.data).unwrap();
    assert!(
        text.contains(r#"{"profiles":[{"profileId":"00ff"}]}"#),
        "{text}"
    );
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let attributes = &read["resourceProfiles"][0]["resource"]["attributes"];
    let mut attributes: Vec<_> = attributes.as_array().unwrap().iter().collect();
    attributes.sort_by_key(|attribute| attribute["key"].as_str().unwrap().to_owned());
    let expected = serde_json::json!([
        {"key": "env", "value": {"stringValue": "x"}},
        {"key": "n", "value": {"intValue": "7"}},
        {"key": "zone", "value": {"stringValue": "new"}},
    ]);
    assert_eq!(serde_json::json!(attributes), expected, "{text}");
}

#[test]
fn only_the_exact_content_types_are_teed_and_none_is_changed() {
    // A Pyroscope answers 415 to the others.
    let rig = Rig::with(
        Upstream::answering(Answer::status(415, b"")),
        Upstream::ok(),
        &TAGS,
        verbatim,
    );
    for (index, kind) in [
        "application/x-protobuf; charset=utf-8",
        "application/json;charset=utf-8",
        "Application/JSON",
        "application/proto",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(rig.send(&post(kind, &two())).status(), 415, "{kind}");
        let arrived = &rig.upstream.wait_for(index + 1, SOON)[index];
        assert_eq!(arrived.head.get("content-type"), Some(kind.to_owned()));
    }
    assert_eq!(rig.relay.ledger("central").accepted, Count::default());
    let labels = [("result", "not_understood")];
    let metrics = rig.relay.metrics();
    assert_eq!(
        metrics.value("pyroscope_relay_tee_total", &labels),
        Some(4.0)
    );
}

#[test]
fn an_export_that_cannot_be_read_is_lost_for_a_target_with_tags_alone() {
    let (upstream, tagged, plain) = (Upstream::ok(), Upstream::ok(), Upstream::ok());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("tagged", &tagged, &TAGS)
        .target("plain", &plain, &[])
        .spawn();
    let garbage = noise(1_000);
    let request = post("application/x-protobuf", &garbage);
    assert_eq!(relay.send(&request).status(), 200);
    assert_eq!(upstream.only().body.data, garbage);
    assert_eq!(plain.only().body.data, garbage);
    let ledger = relay.wait_ledger("tagged", "a drop", |ledger| ledger.lost().profiles == 1);
    assert_eq!(ledger.dropped("undecodable"), Count::new(1, 1_000));
}

#[test]
fn without_an_upstream_an_export_is_answered_as_a_pyroscope_would() {
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &TAGS)
        .spawn();
    for (kind, body) in [
        ("application/x-protobuf", two()),
        ("application/json", b"{}".to_vec()),
    ] {
        let answer = relay.send(&post(kind, &body));
        assert_eq!((answer.status(), answer.body.data.len()), (200, 0));
        // The response has this content type also when the request is JSON.
        let kind = answer.head.get("content-type");
        assert_eq!(kind, Some("application/x-protobuf".to_owned()));
    }
    target.wait_for(2, SOON);
    let metrics = relay.metrics();
    for format in ["proto", "json"] {
        let labels = [("surface", "otlp"), ("format", format)];
        let value = metrics.value("pyroscope_relay_ingested_total", &labels);
        assert_eq!(value, Some(1.0), "{format}");
    }
}
