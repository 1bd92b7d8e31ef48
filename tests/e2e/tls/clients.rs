//! Clients of both listeners: who is served, and who is refused with which reason.

use pyrotee_tls::testing::{self, Pair, dates, for_servers_only};
use rustls::ALL_VERSIONS;

use super::listeners::{Listener, Listeners};
use crate::support::{
    Request, SOON, TlsClient, TlsHttp2,
    tls::{self, TLS12, TLS13},
    tls_client::alert,
};

/// Certificates that clients show: a word, the certificate, and the kind of the failure where one is asked for.
fn certificates(files: &testing::Authority, listed: &Pair) -> Vec<Shown> {
    let stranger = testing::Authority::new("a stranger");
    let signed_by_intermediate = {
        let intermediate = files.intermediate("an intermediate");
        let pair = intermediate.issue(&["client"]);
        Pair {
            cert: pair.cert + &intermediate.pem(),
            key: pair.key,
        }
    };
    let dated = |from, to| files.issue_with(&["client"], |params| dates(params, from, to));
    let shown = |word, pair: Pair, refused| Shown {
        word,
        pair: Some(pair),
        refused,
    };
    vec![
        Shown {
            word: "none",
            pair: None,
            refused: None,
        },
        shown("valid", files.issue(&["client"]), None),
        shown("intermediate", signed_by_intermediate, None),
        shown("listed", listed.clone(), None),
        shown("expired", dated(2020, 2021), Some("certificate_expired")),
        shown(
            "not-yet-valid",
            dated(2090, 2091),
            Some("certificate_expired"),
        ),
        shown(
            "unknown-ca",
            stranger.issue(&["client"]),
            Some("certificate_unknown_ca"),
        ),
        shown(
            "unknown-self-signed",
            Pair::self_signed(&["client"], true),
            Some("certificate_unknown_ca"),
        ),
        shown(
            "server-only",
            files.issue_with(&["client"], for_servers_only),
            Some("certificate_invalid"),
        ),
    ]
}

struct Shown {
    word: &'static str,
    pair: Option<Pair>,
    /// The kind of the failure; `None`: the certificate is accepted.
    refused: Option<&'static str>,
}

impl Shown {
    /// The status that the client gets, or the kind of the failed handshake.
    fn expected(&self, auth: &str, listener: Listener) -> Result<u16, &'static str> {
        match (auth, self.refused) {
            ("none", _) => Ok(200),
            (_, Some(kind)) => Err(kind),
            ("require", None) if self.pair.is_none() => match listener {
                Listener::Data => Err("no_certificate"),
                // Health checks of a cluster have no certificate, so that the guard asks for it.
                Listener::Admin => Ok(403),
            },
            (_, None) => Ok(200),
        }
    }
}

fn clients_with(auth: &str, keys: &str) {
    let listed = Pair::self_signed(&["client"], true);
    let it = Listeners::new(keys, &listed.cert);
    let (ca, mut served, mut kinds) = (it.files.issuer().pem(), 0, Vec::new());
    for shown in certificates(it.files.issuer(), &listed) {
        for (version, versions) in [("1.2", TLS12), ("1.3", TLS13)] {
            for listener in Listener::ALL {
                let case = format!("{auth} {} {version} {listener:?}", shown.word);
                let before = it.failures(listener);
                let client = TlsClient::new(tls::client(&ca, shown.pair.as_ref(), versions));
                let response = client.send(it.address(listener), &listener.request());
                match shown.expected(auth, listener) {
                    Ok(status) => {
                        assert_eq!(response.expect(&case).status(), status, "{case}");
                        assert_eq!(it.failures(listener), before, "{case}");
                        served += usize::from(listener == Listener::Data);
                    }
                    Err(kind) => {
                        let error = response.expect_err(&case);
                        assert!(alert(&error).is_some(), "{case}: {error}");
                        it.wait_failures(listener, &before, kind, 1.0, &case);
                        kinds.push((listener, kind));
                    }
                }
                if listener == Listener::Admin && shown.expected(auth, listener).is_ok() {
                    for path in ["/-/healthy", "/-/ready"] {
                        let health = client.send(it.relay.admin(), &Request::get(path));
                        assert_eq!(health.expect(&case).status(), 200, "{case} {path}");
                    }
                }
            }
        }
    }
    it.target.wait_for(served, SOON);
    assert_eq!(it.target.arrivals().len(), served);
    for (listener, kind) in kinds {
        assert_eq!(it.lines(listener, kind), 1, "{listener:?} {kind}");
    }
}

#[test]
fn without_client_auth_no_certificate_is_looked_at() {
    clients_with("none", "");
}

#[test]
fn a_requested_certificate_may_be_missing_but_not_wrong() {
    clients_with(
        "request",
        ", client-ca-file: {clients}, client-auth: request",
    );
}

#[test]
fn a_required_certificate_may_be_neither_missing_nor_wrong() {
    clients_with("require", ", client-ca-file: {clients}");
}

#[test]
fn a_client_that_refuses_the_relay_is_counted_by_its_reason() {
    let it = Listeners::new(", min-version: \"1.3\"", "");
    let ca = it.files.issuer().pem();
    let stranger = testing::Authority::new("a stranger").pem();
    let speaking = |protocol: &[u8]| {
        let mut config = tls::client(&ca, None, ALL_VERSIONS);
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsClient::new(config)
    };
    let cases = [
        (
            "another authority",
            TlsClient::new(tls::client(&stranger, None, ALL_VERSIONS)),
            "untrusted",
        ),
        (
            "another name",
            TlsClient::new(tls::client(&ca, None, ALL_VERSIONS)).named("relay.example"),
            "untrusted",
        ),
        (
            "an old version",
            TlsClient::new(tls::client(&ca, None, TLS12)),
            "incompatible",
        ),
        ("another protocol", speaking(b"spdy/3"), "incompatible"),
    ];
    for listener in Listener::ALL {
        for (case, client, kind) in &cases {
            let before = it.failures(listener);
            let refused = client.connect(it.address(listener));
            let error = refused.expect_err(case);
            assert!(error.get_ref().is_some(), "{case}: {error}");
            it.wait_failures(listener, &before, kind, 1.0, case);
        }
        assert_eq!(it.lines(listener, "untrusted"), 1);
        assert_eq!(it.lines(listener, "incompatible"), 1);
    }
    let before = it.failures(Listener::Admin);
    speaking(b"h2")
        .connect(it.relay.admin())
        .expect_err("HTTP/2 on the admin listener");
    it.wait_failures(Listener::Admin, &before, "incompatible", 1.0, "h2");
    assert!(it.target.arrivals().is_empty());
}

#[test]
fn clients_speak_http_1_with_or_without_alpn_and_http_2() {
    let it = Listeners::new("", "");
    let config = || tls::client(&it.files.issuer().pem(), None, ALL_VERSIONS);
    let mut http1 = config();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut both = config();
    both.alpn_protocols = vec![b"http/1.1".to_vec(), b"spdy/3".to_vec()];
    for listener in Listener::ALL {
        for config in [config(), http1.clone(), both.clone()] {
            let client = TlsClient::new(config);
            let mut connection = client.connect(it.address(listener)).unwrap();
            for _ in 0..3 {
                let response = connection.exchange(&listener.request()).unwrap();
                assert_eq!(response.status(), 200);
            }
        }
        assert!(it.failures(listener).is_empty());
    }
    let mut http2 = TlsHttp2::connect(config(), it.relay.addr()).unwrap();
    for _ in 0..3 {
        let status = http2.post("/ingest?name=two&from=1&until=2", b"profile");
        assert_eq!(status.unwrap(), 200);
    }
    it.target.wait_for(12, SOON);
}
