//! Pushes and similar requests that only the upstream gets, and Pushes that only targets get.

use std::time::Duration;

use crate::{
    push::{PATH, body, packed, push, small},
    support::{
        Answer, Client, Count, Relay, Request, Rig, SOON, Upstream, client::noise, nightly,
        verbatim,
    },
};

#[test]
fn what_pyroscope_takes_here_in_no_unary_call_is_relayed_and_not_teed() {
    let rig = Rig::verbatim(Upstream::answering(Answer::status(415, b"what")));
    let kinds = [
        "application/grpc-web+thrift",
        "application/grpc-web-text+json",
        "application/grpc-webby",
        "application/connect+proto",
        "application/connect+json",
        "application/x-protobuf",
        "text/plain",
        "application/proto; charset=utf-8",
    ];
    for (index, kind) in kinds.into_iter().enumerate() {
        let request = Request::post(PATH, &small()).field("Content-Type", kind);
        assert_eq!(rig.send(&request).status(), 415, "{kind}");
        let arrived = &rig.upstream.wait_for(index + 1, SOON)[index];
        assert_eq!(arrived.head.get("content-type"), Some(kind.to_owned()));
        assert_eq!(arrived.body.raw, small());
    }
    assert_eq!(rig.send(&Request::post(PATH, &small())).status(), 415);
    assert_eq!(rig.relay.ledger("central").accepted, Count::default());
    let metrics = rig.relay.metrics();
    let labels = [("result", "not_understood")];
    let count = metrics.value("pyroscope_relay_tee_total", &labels);
    assert_eq!(count, Some(9.0));
    let labels = [("surface", "push")];
    assert_eq!(metrics.sum("pyroscope_relay_ingested_total", &labels), 0.0);
}

#[test]
fn other_methods_and_other_calls_are_relayed_and_never_teed() {
    let refusal = Answer::with(405, &[("Allow", "POST")], b"");
    let rig = Rig::with(
        Upstream::answering(refusal),
        Upstream::ok(),
        &["tags: { env: x }"],
        verbatim,
    );
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let request = Request::new(method, PATH).field("Content-Type", "application/proto");
        let answer = Client::connect(rig.relay.addr())
            .send(&request.bytes())
            .receive_for(method);
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.head.get("allow"), Some("POST".to_owned()));
    }
    for path in ["/push.v1.PusherService/Pull", "/push.v1.Pusher/Push"] {
        let request = Request::post(path, &small()).field("Content-Type", "application/proto");
        assert_eq!(rig.send(&request).status(), 405, "{path}");
    }
    assert_eq!(rig.upstream.requests().len(), 6);
    assert_eq!(rig.relay.ledger("central").accepted, Count::default());
}

#[test]
fn an_upload_of_debug_info_streams_past_the_tee() {
    let length = if nightly() { 1 << 30 } else { 48 << 20 };
    let rig = Rig::with(
        Upstream::answering(Answer::status(412, b"nothing pending")),
        Upstream::ok(),
        &["tags: { env: x }"],
        |builder| verbatim(builder).yaml("memory-limit: 16MiB"),
    );
    let idle = rig.relay.rss_peak();
    let path = "/debuginfo.v1alpha1.DebuginfoService/Upload/0123abcdef";
    let request = Request::post(path, &noise(length));
    let mut client = Client::patient(rig.relay.addr(), Duration::from_secs(300));
    let answer = client.exchange(&request);
    assert_eq!((answer.status(), answer.body.data.len()), (412, 15));
    let arrived = rig.upstream.only();
    assert_eq!(arrived.head.target(), path);
    assert!(arrived.body.raw == body(&request));
    let grown = rig.relay.rss_peak() - idle;
    assert!(grown < 8 << 20, "{grown} bytes");
    assert_eq!(rig.relay.ledger("central").accepted, Count::default());
    let metrics = rig.relay.metrics();
    assert_eq!(metrics.sum("pyroscope_relay_ingested_total", &[]), 0.0);
}

#[test]
fn without_an_upstream_a_push_is_answered_as_a_pyroscope_would() {
    let target = Upstream::ok();
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &["tags: { env: x }"])
        .spawn();
    let json = Request::post(PATH, b"{}").field("Content-Type", "application/json");
    for (request, kind, body) in [
        (packed(&small()), "application/proto", &b""[..]),
        (push(&small()), "application/proto", b""),
        (json, "application/json", b"{}"),
    ] {
        let answer = relay.send(&request);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.head.get("content-type"), Some(kind.to_owned()));
        assert_eq!(answer.body.data, body);
    }
    target.wait_for(3, SOON);
    let request = Request::post(PATH, &small()).field("Content-Type", "application/connect+proto");
    assert_eq!(relay.send(&request).status(), 415);
    let metrics = relay.metrics();
    for (format, count) in [("proto", 2.0), ("json", 1.0)] {
        let labels = [("surface", "push"), ("format", format)];
        let value = metrics.value("pyroscope_relay_ingested_total", &labels);
        assert_eq!(value, Some(count), "{format}");
    }
}

#[test]
fn without_an_upstream_a_push_no_queue_took_is_a_503_in_json() {
    let target = Upstream::answering(Answer::never());
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target("central", &target, &["queue-size: 1", "queue-workers: 1"])
        .spawn();
    let answers = [(); 3].map(|()| relay.send(&packed(&small())));
    assert_eq!(answers[0].status(), 200);
    let last = &answers[2];
    assert_eq!(last.status(), 503);
    assert_eq!(last.json()["code"], "unavailable");
    assert!(last.head.has("retry-after"), "{}", last.head.text());
}
