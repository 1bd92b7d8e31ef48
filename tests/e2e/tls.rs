//! Targets and upstreams over https.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;

use crate::support::{Count, Relay, Request, SOON, Upstream, eventually};

/// A target whose certificate is trusted only by a test.
struct Https {
    address: SocketAddr,
    /// Bytes that the server received after the handshake.
    heard: Arc<Mutex<Vec<u8>>>,
    authority: String,
    home: TempDir,
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
        let (config, authority) = server_config(name, demanding);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound listener has one");
        let heard = Arc::default();
        accept(listener, Arc::new(config), Arc::clone(&heard));
        Self {
            address,
            heard,
            authority,
            home: tempfile::tempdir().expect("a temporary directory can be made"),
        }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    /// A file of root certificates that makes the server's certificate trusted.
    fn roots(&self) -> String {
        let path = self.home.path().join("roots.pem");
        fs::write(&path, &self.authority).expect("the file can be written");
        path.display().to_string()
    }

    fn heard(&self) -> String {
        let heard = self.heard.lock().expect("nobody panics with the lock");
        String::from_utf8_lossy(&heard).into_owned()
    }
}

/// The configuration of a TLS server whose certificate is for `name`, and the authority that signed the certificate, as
/// PEM. With `demanding` the server requires a client certificate.
pub(crate) fn server_config(name: &str, demanding: bool) -> (ServerConfig, String) {
    let key = || KeyPair::generate().expect("a key can be made");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key()).expect("a certificate");
    let leaf_key = key();
    let leaf = CertificateParams::new([name.to_owned()])
        .and_then(|params| params.signed_by(&leaf_key, &authority))
        .expect("a certificate");
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = if demanding {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).expect("a certificate");
        WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .build()
            .expect("there is a root")
    } else {
        WebPkiClientVerifier::no_client_auth()
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![leaf.der().clone()], private)
        .expect("the key belongs to the certificate");
    (config, authority.pem())
}

fn accept(listener: TcpListener, config: Arc<ServerConfig>, heard: Arc<Mutex<Vec<u8>>>) {
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let (config, heard) = (Arc::clone(&config), Arc::clone(&heard));
            thread::spawn(move || {
                let limit = Some(Duration::from_secs(30));
                socket.set_read_timeout(limit).expect("it takes a timeout");
                let mut connection = ServerConnection::new(config).expect("it was checked");
                let mut stream = Stream::new(&mut connection, &mut socket);
                let mut buffer = [0; 4096];
                // Every upload in these tests is small and ends in the same word.
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let mut heard = heard.lock().expect("nobody panics with the lock");
                    heard.extend_from_slice(&buffer[..read]);
                    let whole = heard.ends_with(b"profile");
                    drop(heard);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    if whole && stream.write_all(answer).is_err() {
                        break;
                    }
                }
            });
        }
    });
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
    let heard = target.heard();
    assert_eq!(
        heard.matches("POST /ingest?name=app&").count(),
        3,
        "{heard}"
    );
    assert!(heard.contains("Bearer secret-token"), "{heard}");
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
    assert_eq!(target.heard(), "");
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
        assert_eq!(target.heard(), "");
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
