//! The connection of gRPC calls to the upstream: over TLS, and when the connection cannot be opened.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, http::response::Parts};
use tempfile::TempDir;

use crate::{
    support::{
        Relay, SOON, Upstream,
        h2::{self, GrpcUpstream, Message},
    },
    tls::server_config,
};

/// A relay in front of an https upstream whose certificate it trusts.
fn relay(address: &str, authority: &str, home: &TempDir) -> Relay {
    let roots = home.path().join("roots.pem");
    std::fs::write(&roots, authority).unwrap();
    Relay::builder()
        .upstream_address(address)
        .env("SSL_CERT_FILE", &roots.display().to_string())
        .spawn()
}

fn call(relay: &Relay) -> Message<Parts> {
    let request = Request::post(format!("http://{}/a.B/C", relay.addr()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(b"words")))
        .unwrap();
    h2::send(relay.addr(), request)
}

#[test]
fn a_call_reaches_an_https_upstream_over_http_2() {
    let (mut config, authority) = server_config("localhost", false);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let upstream = GrpcUpstream::over_tls(config);
    let home = tempfile::tempdir().unwrap();
    let address = format!("https://localhost:{}", upstream.address().port());
    let relay = relay(&address, &authority, &home);
    for _ in 0..2 {
        let answer = call(&relay);
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
    let (mut config, authority) = server_config("localhost", false);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let upstream = GrpcUpstream::over_tls(config);
    let home = tempfile::tempdir().unwrap();
    let address = format!("https://localhost:{}", upstream.address().port());
    let relay = relay(&address, &authority, &home);
    let started = Instant::now();
    assert_eq!(call(&relay).head.status, 502);
    assert!(started.elapsed() < SOON);
    let errors = relay.metrics();
    let errors = errors.value("pyroscope_relay_upstream_errors_total", &[("kind", "tls")]);
    assert_eq!(errors, Some(1.0));
}

#[test]
fn a_call_to_an_upstream_that_never_begins_http_2_ends_with_the_timeout() {
    let silent = Upstream::answering(crate::support::Answer::deaf());
    let relay = Relay::builder()
        .upstream_address(&silent.url())
        .upstream_option("timeout: 1s")
        .spawn();
    let started = Instant::now();
    assert_eq!(call(&relay).head.status, 502);
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
}
