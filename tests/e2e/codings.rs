//! Content codings that the relay cannot decode, and calls that gRPC refuses.

use bytes::Bytes;
use http_body_util::Full;

use crate::{
    push::{PATH, push, small},
    support::{
        Count, Relay, Upstream,
        client::noise,
        h2::{self, GrpcAnswer, GrpcUpstream},
        message::frame,
    },
};

fn call(relay: &Relay, kind: &str, fields: &[(&str, &str)], body: Vec<u8>) -> u16 {
    let mut request = hyper::Request::post(format!("http://{}{PATH}", relay.addr()))
        .header("content-type", kind)
        .header("te", "trailers");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from(body));
    let answer = h2::send(relay.addr(), request.body(body).unwrap());
    answer.head.status.as_u16()
}

#[test]
fn an_unknown_coding_goes_as_it_is_to_a_target_without_tags() {
    // Without tags, neither relay nor target has to decode the body.
    let (upstream, target) = (Upstream::ok(), Upstream::ok());
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("central", &target, &[])
        .spawn();
    let body = noise(500);
    let request = push(&body).field("Content-Encoding", "zstd");
    assert_eq!(relay.send(&request).status(), 200);
    let ledger = relay.wait_ledger("central", "settled", |ledger| {
        ledger.accepted.profiles == 1 && ledger.pending.profiles == 0
    });
    assert_eq!(ledger.sent, Count::new(1, 500), "{ledger:?}");
    let teed = target.only();
    assert_eq!(teed.head.get("content-encoding"), Some("zstd".to_owned()));
    assert_eq!(teed.body.data, body);
}

#[test]
fn a_call_in_an_unknown_coding_goes_as_it_is_to_a_target_without_tags() {
    let (upstream, target) = (GrpcUpstream::start(), Upstream::ok());
    let relay = Relay::builder()
        .upstream_address(&upstream.url())
        .target("central", &target, &[])
        .spawn();
    let body = noise(500);
    let fields = [("grpc-encoding", "zstd")];
    assert_eq!(
        call(&relay, "application/grpc", &fields, frame(true, &body)),
        200
    );
    let ledger = relay.wait_ledger("central", "settled", |ledger| {
        ledger.accepted.profiles == 1 && ledger.pending.profiles == 0
    });
    assert_eq!(ledger.sent.profiles, 1, "{ledger:?}");
    let teed = target.only();
    assert_eq!(teed.head.get("content-encoding"), Some("zstd".to_owned()));
    assert_eq!(teed.body.data, body);
}

#[test]
fn a_call_that_was_refused_is_not_teed_where_success_is_asked_for() {
    // gRPC refuses with a 200 whose `grpc-status` is not 0. In this test `grpc-status` is in the head.
    let upstream = GrpcUpstream::script(|_| GrpcAnswer::Call {
        head: &[("grpc-status", "3")],
        body: Vec::new(),
        trailers: &[],
    });
    let target = Upstream::ok();
    let relay = Relay::builder()
        .yaml("tee: { on: upstream-success }")
        .upstream_address(&upstream.url())
        .target("central", &target, &[])
        .spawn();
    let body = frame(false, &small());
    assert_eq!(call(&relay, "application/grpc", &[], body), 200);
    assert_eq!(relay.ledger("central").accepted, Count::default());
}

#[test]
fn grpc_web_over_http_2_reaches_an_upstream_of_http_1() {
    // gRPC-Web is made for HTTP/1; only gRPC itself needs an upstream that speaks HTTP/2.
    let upstream = Upstream::ok();
    let relay = Relay::builder().upstream(&upstream).spawn();
    let body = frame(false, &small());
    let status = call(&relay, "application/grpc-web+proto", &[], body.clone());
    assert_eq!(status, 200);
    assert_eq!(upstream.only().body.data, body);
}
