//! Servers that end the connection within the handshake, or never finish it. They may be restarting: the failure is
//! transient, and never ambiguous.

use std::time::{Duration, Instant};

use super::fault::Files;
use crate::support::{Count, Front, Relay, Request, SOON, Speech, Upstream, eventually};

/// The first bytes of a ServerHello of 118 bytes.
const HALF: Speech = Speech::Say(&[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3]);

/// A speech, and the kind of the error and its words.
const CASES: [(Speech, &str, &str); 3] = [
    (
        Speech::Close,
        "connect",
        "closed the connection during the TLS handshake",
    ),
    (
        HALF,
        "connect",
        "closed the connection during the TLS handshake",
    ),
    (Speech::Silent, "timeout", "1s"),
];

#[test]
fn a_target_that_breaks_the_handshake_gets_the_profile_when_it_finishes_one() {
    for (speech, kind, text) in CASES {
        let (files, target, upstream) = (Files::new(), Upstream::ok(), Upstream::ok());
        let front = Front::start(target.address(), speech.clone());
        let tls = files.tls("ca-file: DIR/ca.crt");
        let relay = Relay::builder()
            .upstream(&upstream)
            .target_address(
                "central",
                &front.url("localhost"),
                &[&tls, "timeout: 1s", "on-ambiguous: drop"],
            )
            .spawn();
        let sent = relay.send(&Request::profile("app", b"profile"));
        assert_eq!(sent.status(), 200, "{speech:?}");
        let labels = [("target", "central"), ("kind", kind)];
        eventually(SOON, &format!("{speech:?}: a failure"), || {
            let errors = "pyroscope_remote_write_request_errors_total";
            relay.metrics().sum(errors, &labels) >= 1.0
        });
        let status = relay.target_status("central").expect("it is configured");
        let error = &status["last_error"];
        assert_eq!(error["outcome"], "transient", "{speech:?}: {error}");
        let words = error["text"].as_str().unwrap_or_default();
        assert!(words.contains(text), "{speech:?}: {error}");
        assert_eq!(relay.ledger("central").pending, Count::new(1, 7));
        assert_eq!(front.passed(), 0);

        front.set(files.valid());
        target.wait_for(1, SOON);
        relay.wait_ledger("central", text, |ledger| ledger.sent.profiles == 1);
        assert_eq!(target.arrivals().len(), 1);
    }
}

#[test]
fn an_upstream_that_breaks_the_handshake_is_told_to_the_client() {
    for (speech, kind, text) in CASES {
        let (files, upstream) = (Files::new(), Upstream::ok());
        let front = Front::start(upstream.address(), speech.clone());
        let relay = Relay::builder()
            .upstream_address(&front.url("localhost"))
            .upstream_option(&files.tls("ca-file: DIR/ca.crt"))
            .upstream_option("timeout: 1s")
            .spawn();
        let response = relay.send(&Request::get("/render"));
        let body = String::from_utf8_lossy(&response.body.data).into_owned();
        assert!(matches!(response.status(), 502 | 504), "{speech:?}: {body}");
        let at = format!("upstream.address is {}", front.url("localhost"));
        assert!(
            body.contains(text) && body.contains(&at),
            "{speech:?}: {body}"
        );
        let errors = "pyroscope_relay_upstream_errors_total";
        assert_eq!(
            relay.metrics().sum(errors, &[("kind", kind)]),
            1.0,
            "{speech:?}"
        );
        assert_eq!(front.passed(), 0);

        front.set(files.valid());
        assert_eq!(relay.send(&Request::get("/render")).status(), 200);
    }
}

#[test]
fn a_handshake_that_never_ends_is_given_up_after_ten_seconds() {
    let target = Upstream::ok();
    let front = Front::start(target.address(), Speech::Silent);
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target_address("central", &front.url("localhost"), &["timeout: 60s"])
        .spawn();
    let started = Instant::now();
    relay.send(&Request::profile("app", b"profile"));
    eventually(SOON * 2, "a failure", || {
        let errors = "pyroscope_remote_write_request_errors_total";
        relay.metrics().sum(errors, &[("kind", "timeout")]) >= 1.0
    });
    assert!(started.elapsed() >= Duration::from_millis(9_900));
    let status = relay.target_status("central").expect("it is configured");
    let error = &status["last_error"];
    assert_eq!(error["text"], "the TLS handshake took longer than 10s");
    assert_eq!(error["outcome"], "transient");
    assert_eq!(relay.ledger("central").pending, Count::new(1, 7));
}
