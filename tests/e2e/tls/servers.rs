//! Targets and upstreams over https.

use crate::support::{
    Count, Front, Relay, Request, SOON, Upstream, eventually, pki::Authority, tls,
};

/// A target over https whose certificate is trusted only by a test.
struct Https {
    front: Front,
    target: Upstream,
    files: Authority,
}

impl Https {
    /// A server whose certificate is for `name`.
    fn start(name: &str) -> Self {
        Self::with(name, false)
    }

    /// A server that requires a client certificate. With TLS 1.3 it reports this after the client's handshake.
    fn demanding(name: &str) -> Self {
        Self::with(name, true)
    }

    fn with(name: &str, demanding: bool) -> Self {
        let files = Authority::new();
        let ca = demanding.then(|| files.issuer().pem());
        let config = tls::server_with(&files.pair(name), ca.as_deref(), rustls::ALL_VERSIONS);
        let target = Upstream::ok();
        Self {
            front: Front::tls(target.address(), config),
            target,
            files,
        }
    }

    fn url(&self, host: &str) -> String {
        self.front.url(host)
    }

    /// A file of root certificates that makes the server's certificate trusted.
    fn roots(&self) -> String {
        self.files.text("ca.crt")
    }
}

fn relay_to(address: &str, roots: Option<&str>) -> (Relay, Upstream) {
    let upstream = Upstream::ok();
    let builder = Relay::builder().upstream(&upstream).target_address(
        "central",
        address,
        &["auth-token: secret-token", "timeout: 2s"],
    );
    let builder = match roots {
        Some(file) => builder.env("SSL_CERT_FILE", file),
        None => builder,
    };
    (builder.spawn(), upstream)
}

#[test]
fn a_target_whose_authority_the_system_trusts_gets_profiles() {
    let target = Https::start("localhost");
    let (relay, _upstream) = relay_to(&target.url("localhost"), Some(&target.roots()));
    for index in 0..3 {
        let answer = relay.send(&Request::profile("app", b"profile"));
        assert_eq!(answer.status(), 200);
        relay.wait_ledger("central", "sent", |ledger| {
            ledger.sent.profiles == index + 1
        });
    }
    for upload in target.target.wait_for(3, SOON) {
        assert!(upload.head.query().starts_with("name=app&"));
        let token = upload.head.get("authorization");
        assert_eq!(token.as_deref(), Some("Bearer secret-token"));
    }
}

#[test]
fn a_target_with_an_address_for_its_name_is_trusted_by_it() {
    let target = Https::start("127.0.0.1");
    let (relay, _upstream) = relay_to(&target.url("127.0.0.1"), Some(&target.roots()));
    relay.send(&Request::profile("app", b"profile"));
    relay.wait_ledger("central", "sent", |ledger| ledger.sent.profiles == 1);
}

#[test]
fn a_target_nobody_vouches_for_gets_nothing() {
    let target = Https::start("localhost");
    let (relay, _upstream) = relay_to(&target.url("localhost"), None);
    distrusts(&relay, &target);
}

#[test]
fn a_certificate_for_another_name_is_not_enough() {
    let target = Https::start("other.example");
    let (relay, _upstream) = relay_to(&target.url("localhost"), Some(&target.roots()));
    distrusts(&relay, &target);
}

fn distrusts(relay: &Relay, target: &Https) {
    let answer = relay.send(&Request::profile("app", b"profile"));
    assert_eq!(answer.status(), 200);
    let labels = [("target", "central"), ("kind", "tls")];
    let name = "pyroscope_remote_write_request_errors_total";
    eventually(SOON, "a refusal to trust", || {
        relay.metrics().sum(name, &labels) >= 1.0
    });
    assert_waits_for_repair(relay);
    assert_eq!(target.front.passed(), 0);
    let logs = relay.output();
    assert!(logs.contains("certificate"), "a reason is told: {logs}");
}

#[test]
fn a_target_that_speaks_no_tls_is_a_failure_and_gets_nothing() {
    let target = Upstream::ok();
    let address = target.url().replace("http://", "https://");
    let (relay, _upstream) = relay_to(&address, None);
    relay.send(&Request::profile("app", b"profile"));
    // The server waits for a request where a handshake should be, so the relay sees a timeout.
    let labels = [("target", "central"), ("kind", "timeout")];
    let name = "pyroscope_remote_write_request_errors_total";
    eventually(SOON, "a failure", || {
        relay.metrics().sum(name, &labels) >= 1.0
    });
    assert_eq!(relay.ledger("central").pending, Count::new(1, 7));
    assert!(target.requests().is_empty());
}

#[test]
fn a_target_that_wants_a_certificate_is_broken_and_takes_nothing() {
    for option in ["retry", "drop"] {
        let target = Https::demanding("localhost");
        let upstream = Upstream::ok();
        let options = [&format!("on-ambiguous: {option}")];
        let relay = Relay::builder()
            .upstream(&upstream)
            .target_address(
                "central",
                &target.url("localhost"),
                &options.map(String::as_str),
            )
            .env("SSL_CERT_FILE", &target.roots())
            .spawn();
        relay.send(&Request::profile("app", b"profile"));
        assert_waits_for_repair(&relay);
        let metrics = relay.metrics();
        let labels = [("target", "central"), ("kind", "tls")];
        let errors = "pyroscope_remote_write_request_errors_total";
        assert!(metrics.sum(errors, &labels) >= 1.0, "{option}");
        let ambiguous = "pyroscope_remote_write_ambiguous_total";
        assert_eq!(
            metrics.sum(ambiguous, &[("target", "central")]),
            0.0,
            "{option}"
        );
        assert_eq!(target.front.passed(), 0);
        let logs = relay.output();
        assert!(
            logs.contains("wants a client certificate") && logs.contains("set cert-file"),
            "reason and remedy are told: {logs}"
        );
    }
}

#[test]
fn an_upstream_that_wants_a_certificate_is_a_tls_error() {
    let upstream = Https::demanding("localhost");
    let relay = Relay::builder()
        .upstream_address(&upstream.url("localhost"))
        .target("central", &Upstream::ok(), &[])
        .env("SSL_CERT_FILE", &upstream.roots())
        .spawn();
    assert_eq!(relay.send(&Request::get("/render")).status(), 502);
    let errors = "pyroscope_relay_upstream_errors_total";
    assert_eq!(relay.metrics().sum(errors, &[("kind", "tls")]), 1.0);
}

/// Asserts that profiles stay queued after a failed handshake, until somebody repairs the configuration.
fn assert_waits_for_repair(relay: &Relay) {
    let labels = [
        ("target", "central"),
        ("code", "error"),
        ("outcome", "broken"),
    ];
    let name = "pyroscope_remote_write_requests_total";
    eventually(SOON, "a failed handshake", || {
        relay.metrics().sum(name, &labels) == 1.0
    });
    assert_eq!(relay.ledger("central").pending, Count::new(1, 7));
}
