//! TLS on every side: clients with a certificate, an upstream and a target over https.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use rustls::ALL_VERSIONS;

use super::fault::Files;
use crate::{
    push::{PATH, small},
    support::{
        Answer, Client, Front, Relay, Request, SOON, Tunnel, Upstream,
        client::noise,
        h2::{self, GrpcUpstream},
        message::{frame, series},
        tls,
    },
};

const CLIENT: &str = "ca-file: DIR/ca.crt, cert-file: DIR/client.crt, key-file: DIR/client.key";

/// A relay with TLS on every side; each side demands a certificate.
struct Rig {
    tunnel: Tunnel,
    relay: Relay,
    target: Upstream,
    upstream_front: Front,
    _target_front: Front,
}

/// A rig before the upstream at this address, with a client that offers `protocols`.
fn rig(upstream: SocketAddr, protocols: &[&[u8]]) -> Rig {
    let (files, target) = (Files::new(), Upstream::ok());
    files.authority.issue("relay", "localhost");
    let own = files.authority.pair("the client of a test");
    let fronts = [upstream, target.address()]
        .map(|address| Front::start(address, files.demanding(ALL_VERSIONS)));
    let [upstream_front, target_front] = fronts;
    let tls = files.tls(CLIENT);
    let listen =
        files.tls("cert-file: DIR/relay.crt, key-file: DIR/relay.key, client-ca-file: DIR/ca.crt");
    let relay = Relay::builder()
        .yaml(&format!("listen-{listen}"))
        .upstream_address(&upstream_front.url("localhost"))
        .upstream_option(&tls)
        .target_address(
            "central",
            &target_front.url("localhost"),
            &[&tls, "tags: { env: x }"],
        )
        .spawn();
    let ca = files.authority.issuer().pem();
    let config = tls::client(&ca, Some(&own), ALL_VERSIONS);
    Rig {
        tunnel: Tunnel::to(relay.addr(), config, protocols),
        relay,
        target,
        upstream_front,
        _target_front: target_front,
    }
}

#[test]
fn a_grpc_call_passes_with_its_trailers_and_is_teed() {
    let upstream = GrpcUpstream::start();
    let rig = rig(upstream.address(), &[b"h2"]);
    let message = frame(false, &small());
    for _ in 0..2 {
        let request = hyper::Request::post(format!("https://localhost{PATH}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(message.clone())))
            .unwrap();
        let response = h2::send(rig.tunnel.address(), request);
        assert_eq!(response.head.status, 200);
        assert_eq!(response.body, message);
        assert_eq!(response.trailers["grpc-status"], "0");
        assert_eq!(response.trailers["grpc-message"], "all-of-it");
    }
    let arrived = upstream.requests().remove(0);
    assert_eq!(arrived.body, message);
    assert_eq!(arrived.head.headers["x-forwarded-proto"], "https");
    assert_eq!(rig.upstream_front.handshakes(), 1, "one kept connection");
    for teed in rig.target.wait_for(2, SOON) {
        let series = series(&teed.body.data);
        let mut labels = series.iter().flat_map(|series| &series.labels);
        assert!(
            labels.any(|(name, value)| (&**name, &**value) == ("env", "x")),
            "{series:?}"
        );
    }
}

#[test]
fn a_large_upload_and_its_response_pass_unchanged() {
    let body = noise(4 << 20);
    let upstream = Upstream::answering(Answer::chunked(&[&body, b"end"], &[("x-sum", "1")]));
    let rig = rig(upstream.address(), &[b"http/1.1"]);
    let path = "/ingest?name=app&from=1&until=2";
    let request =
        Request::chunked(path, &[&body, b"end"], &[("x-check", "2")]).field("TE", "trailers");
    let whole = [&body[..], b"end"].concat();
    let response = Client::connect(rig.tunnel.address()).exchange(&request);
    assert_eq!(response.status(), 200);
    assert!(response.body.data == whole);
    assert_eq!(
        response.body.trailers,
        [("x-sum".to_owned(), "1".to_owned())]
    );
    let arrived = upstream.only();
    assert_eq!(arrived.head.target(), path);
    let scheme = arrived.head.get("x-forwarded-proto");
    assert_eq!(scheme.as_deref(), Some("https"));
    assert_eq!(
        arrived.body.trailers,
        [("x-check".to_owned(), "2".to_owned())]
    );
    assert!(arrived.body.data == whole);
    assert!(rig.target.only().body.data == whole);
}

#[test]
fn a_connection_that_switches_to_another_protocol_is_a_tunnel() {
    let upstream = Upstream::answering(Answer::upgrade("websocket"));
    let rig = rig(upstream.address(), &[b"http/1.1"]);
    let mut client = Client::connect(rig.tunnel.address());
    let request = Request::get("/ws")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    assert_eq!(client.exchange(&request).status(), 101);
    for words in ["hello", "again"] {
        client.send(words.as_bytes());
        let mut echo = Vec::new();
        while echo.len() < words.len() {
            let bytes = client.wire().some(64).unwrap();
            assert!(!bytes.is_empty(), "the tunnel closed after {echo:?}");
            echo.extend_from_slice(&bytes);
        }
        assert_eq!(echo, words.to_uppercase().as_bytes());
    }
    client.wire().finish().unwrap();
    assert!(client.wire().closed());
}

#[test]
fn kept_connections_that_the_upstream_closes_fail_no_request() {
    let upstream = Upstream::answering(Answer::ok().close());
    let rig = rig(upstream.address(), &[b"http/1.1"]);
    let mut client = Client::connect(rig.tunnel.address());
    for nth in 0..20 {
        let profile = Request::profile(&format!("app{nth}"), b"profile");
        assert_eq!(client.exchange(&profile).status(), 200, "{nth}");
    }
    rig.relay
        .wait_ledger("central", "sent", |ledger| ledger.sent.profiles == 20);
    assert_eq!(upstream.requests().len(), 20);
}
