//! nginx as a reverse proxy between clients and the relay, with a certificate of its own.

use std::net::SocketAddr;

use super::{
    files::{CA, Files, OTHER_CA, Shown},
    incoming::{asking, failures, relay},
    process::Process,
    servers::nginx,
};
use crate::support::{Request, SOON, Upstream, client, eventually, ports::Refusing};

/// An nginx that listens without TLS, and passes requests on to the relay over TLS.
pub(super) struct InFront {
    _process: Process,
    ports: Vec<Refusing>,
    _home: tempfile::TempDir,
}

/// How one port of nginx speaks with the relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub(super) ca: &'static str,
    pub(super) shown: Option<Shown>,
    /// The name that the relay's certificate must have.
    pub(super) name: &'static str,
    pub(super) versions: &'static str,
}

/// An nginx that the relay accepts.
pub(super) const VALID: Passing = Passing {
    ca: CA,
    shown: Some(Shown::Valid),
    name: "localhost",
    versions: "TLSv1.2 TLSv1.3",
};

impl InFront {
    /// Starts an nginx with a port for each manner.
    pub(super) fn start(relay: SocketAddr, files: &Files, all: &[Passing]) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let ports: Vec<_> = all.iter().map(|_| Refusing::new()).collect();
        let servers = ports.iter().zip(all).map(|(port, passing)| {
            let identity = passing.shown.map(|shown| {
                let (cert, key) = (files.cert(shown), files.key(shown));
                format!("proxy_ssl_certificate {cert}; proxy_ssl_certificate_key {key};")
            });
            format!(
                "server {{ listen {port}; location / {{ proxy_pass https://{relay};\n\
                 proxy_ssl_verify on; proxy_ssl_trusted_certificate {};\n\
                 proxy_ssl_name {}; proxy_ssl_protocols {}; {} }} }}\n",
                files.path(passing.ca),
                passing.name,
                passing.versions,
                identity.unwrap_or_default(),
            )
        });
        let servers: String = servers.collect();
        let mut process = nginx(&home, &servers);
        let addresses: Vec<_> = ports.iter().map(Refusing::address).collect();
        process.wait_for(&addresses);
        Self {
            _process: process,
            ports,
            _home: home,
        }
    }

    /// Sends a profile to one of the ports; returns the status.
    pub(super) fn send(&self, index: usize) -> u16 {
        let request = Request::profile("app", b"profile");
        client::send(self.ports[index].address(), &request).status()
    }
}

#[test]
fn nginx_in_front_is_known_by_its_certificate() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, &asking(&files, "require"), &target);
    // The last field is the kind of failure. nginx checks the relay's certificate after the handshake, so that the
    // relay sees no failure.
    let cases = [
        (VALID, 200, ""),
        (
            Passing {
                versions: "TLSv1.2",
                ..VALID
            },
            200,
            "",
        ),
        (
            Passing {
                shown: None,
                ..VALID
            },
            502,
            "no_certificate",
        ),
        (
            Passing {
                shown: Some(Shown::Stranger),
                ..VALID
            },
            502,
            "certificate_unknown_ca",
        ),
        (
            Passing {
                shown: Some(Shown::Expired),
                ..VALID
            },
            502,
            "certificate_expired",
        ),
        (
            Passing {
                ca: OTHER_CA,
                ..VALID
            },
            502,
            "",
        ),
        (
            Passing {
                name: "other.example",
                ..VALID
            },
            502,
            "",
        ),
    ];
    let nginx = InFront::start(relay.addr(), &files, &cases.map(|(passing, ..)| passing));
    for (index, (passing, status, kind)) in cases.into_iter().enumerate() {
        assert_eq!(nginx.send(index), status, "{passing:?}");
        if !kind.is_empty() {
            eventually(SOON, kind, || failures(&relay, kind) == 1.0);
        }
    }
    target.wait_for(2, SOON);
    assert_eq!(relay.ledger("central").accepted.profiles, 2);
}
