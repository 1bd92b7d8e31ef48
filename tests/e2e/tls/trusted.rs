//! Servers over https whose certificate is accepted, as targets and as the upstream.

use pyrotee_tls::testing::{Pair, dates};

use super::fault::Files;
use crate::support::{
    Front, Relay, Request, SOON, Speech, Upstream,
    tls::{TLS12, TLS13},
};

const SKIPS: &str = "pyroscope_relay_tls_insecure_skip_verify";

/// A server, and a configuration that accepts it.
struct Case {
    name: &'static str,
    speech: fn(&Files) -> Speech,
    host: &'static str,
    keys: &'static str,
    /// `SSL_CERT_FILE`, if it is set.
    system: &'static str,
}

const VALID: Case = Case {
    name: "an authority in ca-file",
    speech: Files::valid,
    host: "localhost",
    keys: "ca-file: DIR/ca.crt",
    system: "",
};

const CLIENT_CERTIFICATE: &str =
    "ca-file: DIR/ca.crt, cert-file: DIR/client.crt, key-file: DIR/client.key";

const CASES: &[Case] = &[
    VALID,
    Case {
        name: "an address as its name",
        speech: |files| files.named(&["127.0.0.1"]),
        host: "127.0.0.1",
        ..VALID
    },
    Case {
        name: "an intermediate that is sent",
        speech: |files| {
            let between = files.authority.issuer().intermediate("between");
            let Pair { cert, key } = between.issue(&["localhost"]);
            let cert = cert + &between.pem();
            Files::shows(&Pair { cert, key })
        },
        ..VALID
    },
    Case {
        name: "an intermediate in ca-file",
        speech: |files| {
            let between = files.authority.issuer().intermediate("between");
            files.authority.write("other.crt", &between.pem());
            Files::shows(&between.issue(&["localhost"]))
        },
        keys: "ca-file: DIR/other.crt",
        ..VALID
    },
    Case {
        name: "a pinned certificate with CA:TRUE",
        speech: |files| {
            let pair = Pair::self_signed(&["localhost"], true);
            files.authority.write("other.crt", &pair.cert);
            Files::shows(&pair)
        },
        keys: "ca-file: DIR/other.crt",
        ..VALID
    },
    Case {
        name: "a pinned certificate without CA:TRUE",
        speech: |files| {
            let pair = Pair::self_signed(&["localhost"], false);
            files.authority.write("other.crt", &pair.cert);
            Files::shows(&pair)
        },
        keys: "ca-file: DIR/other.crt",
        ..VALID
    },
    Case {
        name: "another server-name",
        speech: |files| files.named(&["other.example"]),
        keys: "ca-file: DIR/ca.crt, server-name: other.example",
        ..VALID
    },
    Case {
        name: "the roots of the system",
        keys: "",
        system: "ca.crt",
        ..VALID
    },
    Case {
        name: "the roots of the system beside ca-file",
        keys: "ca-file: DIR/other.crt, system-roots: true",
        system: "ca.crt",
        ..VALID
    },
    Case {
        name: "a client certificate, TLS 1.2",
        speech: |files| files.demanding(TLS12),
        keys: CLIENT_CERTIFICATE,
        ..VALID
    },
    Case {
        name: "a client certificate, TLS 1.3",
        speech: |files| files.demanding(TLS13),
        keys: CLIENT_CERTIFICATE,
        ..VALID
    },
    Case {
        name: "no verification",
        speech: |_| {
            let old = |it: &mut _| dates(it, 2020, 2021);
            Files::shows(&Pair::self_signed_with(&["other.example"], false, old))
        },
        keys: "insecure-skip-verify: true",
        ..VALID
    },
];

/// A relay with the server of the case as upstream and as target.
fn relay(case: &Case, files: &Files, upstream: &Front, target: &Front) -> Relay {
    let tls = files.tls(case.keys);
    let options = [&*tls, "auth-token: secret-token"];
    let relay = Relay::builder()
        .upstream_address(&upstream.url(case.host))
        .upstream_option(&tls)
        .target_address("central", &target.url(case.host), &options);
    match case.system {
        "" => relay.spawn(),
        file => relay
            .env("SSL_CERT_FILE", &files.authority.text(file))
            .spawn(),
    }
}

#[test]
fn profiles_reach_upstream_and_target() {
    for case in CASES {
        let (files, upstream, target) = (Files::new(), Upstream::ok(), Upstream::ok());
        let speech = (case.speech)(&files);
        let fronts = [&upstream, &target].map(|it| Front::start(it.address(), speech.clone()));
        let relay = relay(case, &files, &fronts[0], &fronts[1]);
        let name = case.name;
        for sent in 1..=2 {
            let response = relay.send(&Request::profile("app", b"profile"));
            assert_eq!(response.status(), 200, "{name}");
            relay.wait_ledger("central", name, |ledger| ledger.sent.profiles == sent);
        }
        assert_eq!(upstream.bodies(), [b"profile", b"profile"], "{name}");
        for upload in target.wait_for(2, SOON) {
            let token = upload.head.get("authorization");
            assert_eq!(token.as_deref(), Some("Bearer secret-token"), "{name}");
        }
        for front in fronts {
            assert_eq!(front.handshakes(), 1, "{name}: one kept connection");
        }
        let skips = f64::from(u8::from(case.keys.contains("skip")));
        for (role, server) in [("upstream", "upstream"), ("target", "central")] {
            let labels = [("role", role), ("name", server)];
            assert_eq!(relay.metrics().sum(SKIPS, &labels), skips, "{name}: {role}");
        }
        let unverified = relay.status()["config"]["unverified_servers"].clone();
        let unverified = unverified.as_array().map_or(0, Vec::len);
        assert_eq!(unverified > 0, skips > 0.0, "{name}");
        let warned = relay.output().contains("insecure-skip-verify");
        assert_eq!(warned, skips > 0.0, "{name}: {}", relay.output());
    }
}

#[test]
fn a_ca_file_replaces_the_roots_of_the_system() {
    let (files, target) = (Files::new(), Upstream::ok());
    let front = Front::start(target.address(), files.valid());
    let case = Case {
        keys: "ca-file: DIR/other.crt",
        system: "ca.crt",
        ..VALID
    };
    let relay = relay(&case, &files, &front, &front);
    let response = relay.send(&Request::get("/"));
    assert_eq!(response.status(), 502);
    assert_eq!(front.passed(), 0);
}
