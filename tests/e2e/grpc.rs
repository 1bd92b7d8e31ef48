//! HTTP/2 without TLS: gRPC to an upstream that speaks HTTP/2, other requests to an upstream of HTTP/1.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Version};

use crate::support::{
    Answer, Relay, Rig, Upstream,
    client::noise,
    h2::{self, GrpcUpstream},
    key::Key,
};

#[test]
fn a_grpc_call_passes_with_its_trailers() {
    let upstream = GrpcUpstream::start();
    let target = Upstream::ok();
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .target("central", &target, &[])
        .spawn();
    let body = noise(300_000);
    let request = Request::post(format!("http://{}/querier.v1.Querier/Select", relay.addr()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "5S")
        .body(Full::new(Bytes::from(body.clone())))
        .unwrap();
    let answer = h2::send(relay.addr(), request);
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.headers["content-type"], "application/grpc");
    assert!(
        !answer.head.headers.contains_key("date"),
        "{:?}",
        answer.head.headers
    );
    assert!(answer.body == body);
    assert_eq!(answer.trailers["grpc-status"], "0");
    assert_eq!(answer.trailers["grpc-message"], "all-of-it");

    let arrived = upstream.requests().remove(0);
    assert_eq!(arrived.head.version, Version::HTTP_2);
    assert_eq!(arrived.head.uri.path(), "/querier.v1.Querier/Select");
    assert_eq!(arrived.head.headers["te"], "trailers");
    assert_eq!(arrived.head.headers["grpc-timeout"], "5S");
    assert!(arrived.body == body);
    assert!(target.arrivals().is_empty());
}

#[test]
fn a_grpc_call_to_an_upstream_that_is_gone_ends_with_a_status() {
    // A refusal, not a hang.
    let refusing = crate::support::ports::Refusing::new();
    let relay = Relay::builder().upstream_address(&refusing.url()).spawn();
    let request = Request::post(format!("http://{}/x.Y/Z", relay.addr()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::default())
        .unwrap();
    let answer = h2::send(relay.addr(), request);
    let status = |headers: &hyper::HeaderMap| {
        headers
            .get("grpc-status")
            .map(|status| status.to_str().unwrap().to_owned())
    };
    let grpc = status(&answer.head.headers).or_else(|| status(&answer.trailers));
    // Clients map a bare 502 to UNAVAILABLE themselves (14).
    assert!(
        answer.head.status == 502 || grpc.as_deref() == Some("14"),
        "{answer:?}"
    );
}

#[test]
fn a_profile_over_http_2_reaches_an_upstream_of_http_1_and_the_target() {
    let rig = Rig::with(
        Upstream::answering(Answer::with(200, &[("X-Answer", "yes")], b"words")),
        Upstream::ok(),
        &["tags: { env: x }"],
        |builder| builder,
    );
    let address = rig.relay.addr();
    let request = Request::post(format!("http://{address}/ingest?name=app&from=1&until=2"))
        .header("content-type", "text/plain")
        .body(Full::new(Bytes::from_static(b"profile")))
        .unwrap();
    let answer = h2::send(address, request);
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.headers["x-answer"], "yes");
    assert_eq!(answer.body, b"words");
    let arrived = rig.upstream.only();
    assert_eq!(
        arrived.head.start_line(),
        "POST /ingest?name=app&from=1&until=2 HTTP/1.1"
    );
    assert_eq!(arrived.head.get("host"), Some(address.to_string()));
    assert_eq!(arrived.body.data, b"profile");
    let teed = rig.target.only();
    assert_eq!(
        Key::of(&teed.head.query()),
        Key::new("app", &[("env", "x")])
    );
    assert_eq!(teed.body.data, b"profile");
}
