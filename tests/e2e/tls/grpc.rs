//! The connection of gRPC calls to the upstream: over TLS, and when the connection cannot be opened.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, http::response::Parts};

use crate::support::{
    Answer, Front, Relay, SOON, Upstream,
    h2::{self, GrpcUpstream, Message},
    pki::Authority,
    tls,
};

/// TLS with these protocols in front of a stand-in, and a relay that trusts its certificate.
fn relay(upstream: &GrpcUpstream, protocols: &[&[u8]]) -> (Relay, Front) {
    let files = Authority::new();
    let mut config = tls::server(&files.pair("localhost"));
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let front = Front::tls(upstream.address(), config);
    let relay = Relay::builder()
        .upstream_address(&front.url("localhost"))
        .upstream_option(&format!("tls: {{ ca-file: {} }}", files.text("ca.crt")))
        .spawn();
    (relay, front)
}

/// Calls a method that is not about profiles over HTTP/2 without TLS.
pub(super) fn call(relay: SocketAddr) -> Message<Parts> {
    let request = Request::post(format!("http://{relay}/a.B/C"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(b"words")))
        .unwrap();
    h2::send(relay, request)
}

#[test]
fn a_call_reaches_an_https_upstream_over_http_2() {
    let upstream = GrpcUpstream::start();
    let (relay, _front) = relay(&upstream, &[b"h2", b"http/1.1"]);
    for _ in 0..2 {
        let answer = call(relay.addr());
        assert_eq!(
            (answer.head.status.as_u16(), &*answer.body),
            (200, &b"words"[..])
        );
        assert_eq!(answer.trailers["grpc-status"], "0");
    }
    assert_eq!(upstream.connections(), 1);
    let authority = upstream.requests()[0].head.uri.authority().cloned();
    let authority = authority.expect("HTTP/2 has an authority");
    assert_eq!(
        authority,
        relay.addr().to_string(),
        "the one that the client sent"
    );
}

#[test]
fn a_call_to_an_https_upstream_without_http_2_is_refused_at_once() {
    let cases: [(&[&[u8]], _, _); 2] = [
        (&[b"http/1.1"], "speaks no version of HTTP", "for HTTP/2"),
        (&[], "speaks no HTTP/2 over TLS", "enable HTTP/2"),
    ];
    for (protocols, text, remedy) in cases {
        let upstream = GrpcUpstream::start();
        let (relay, front) = relay(&upstream, protocols);
        let started = Instant::now();
        assert_eq!(call(relay.addr()).head.status, 502);
        assert!(started.elapsed() < SOON);
        let error = relay.status()["upstream"]["last_error"].to_string();
        assert!(error.contains(text) && error.contains(remedy), "{error}");
        let errors = relay.metrics();
        let errors = errors.value("pyroscope_relay_upstream_errors_total", &[("kind", "tls")]);
        assert_eq!(errors, Some(1.0));
        assert_eq!(front.passed(), 0);
    }
}

#[test]
fn a_call_to_an_upstream_that_never_begins_http_2_ends_with_the_timeout() {
    let silent = Upstream::answering(Answer::deaf());
    let relay = Relay::builder()
        .upstream_address(&silent.url())
        .upstream_option("timeout: 1s")
        .spawn();
    let started = Instant::now();
    assert_eq!(call(relay.addr()).head.status, 502);
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
}
