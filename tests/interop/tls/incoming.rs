//! The relay as a server: each fault of a client's handshake, with each program.

use std::collections::BTreeMap;

use super::{
    clients::{Client, Manner, TRUSTING},
    files::{CLIENT_CAS, Files, OTHER_CA, Shown},
};
use crate::support::{Relay, SOON, Upstream, eventually};

const ERRORS: &str = "pyroscope_relay_tls_handshake_errors_total";

/// What becomes of a client.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Accepted,
    /// The client gets no 200, and the relay counts a failure of this kind.
    Refused(&'static str),
    /// The client refuses the relay's certificate by its name. curl does that after the handshake, which the relay
    /// cannot see.
    OtherName,
}

use Expected::{Accepted, OtherName, Refused};

/// A relay whose listener has a certificate and further keys of `listen-tls`.
pub(super) fn relay(files: &Files, shown: Shown, keys: &str, target: &Upstream) -> Relay {
    let listen_tls = format!("listen-tls: {{ {}{keys} }}", files.keys(shown));
    Relay::builder()
        .remote_write("disable-local-writes: true")
        .yaml(&listen_tls)
        .yaml("reload: { interval: 50ms }")
        .target("central", target, &[])
        .spawn()
}

/// The keys of `listen-tls` that ask clients for a certificate of [`CLIENT_CAS`].
pub(super) fn asking(files: &Files, client_auth: &str) -> String {
    let ca = files.path(CLIENT_CAS);
    format!(", client-ca-file: {ca}, client-auth: {client_auth}")
}

/// Handshake failures of a kind at the listener for clients.
pub(super) fn failures(relay: &Relay, kind: &str) -> f64 {
    let labels = [("listener", "data"), ("kind", kind)];
    relay.metrics().sum(ERRORS, &labels)
}

/// Sends one profile in each manner by each client, and compares with what is expected.
fn check(relay: &Relay, files: &Files, target: &Upstream, cases: &[(Manner, Expected)]) {
    let (mut accepted, mut counts) = (0, BTreeMap::new());
    for &(manner, expected) in cases {
        for client in Client::ALL {
            let (taken, output) = client.send(relay.addr().port(), files, &manner);
            let what = format!("{client:?} {manner:?}: {expected:?}\n{output}");
            let kind = match expected {
                Accepted => None,
                Refused(kind) => Some(kind),
                OtherName => (client != Client::Curl).then_some("untrusted"),
            };
            assert_eq!(taken, matches!(expected, Accepted), "{what}");
            accepted += usize::from(taken);
            if let Some(kind) = kind {
                let count = counts.entry(kind).or_insert(0.0);
                *count += 1.0;
                eventually(SOON, &what, || failures(relay, kind) == *count);
            }
            // No failure is counted twice, or with another kind as well.
            let all = relay.metrics().sum(ERRORS, &[("listener", "data")]);
            assert_eq!(all, counts.values().sum::<f64>(), "{what}");
        }
    }
    target.wait_for(accepted, SOON);
    let ledger = relay.ledger("central");
    assert_eq!(ledger.accepted.profiles, accepted as u64, "{ledger:?}");
}

const fn showing(shown: Shown) -> Manner {
    Manner {
        shown: Some(shown),
        ..TRUSTING
    }
}

const OLD: Manner = Manner {
    max: "1.2",
    ..TRUSTING
};

const STRANGE: Manner = Manner {
    ca: OTHER_CA,
    ..TRUSTING
};

const ELSEWHERE: Manner = Manner {
    name: "other.example",
    ..TRUSTING
};

const NO_CERTIFICATE_NEEDED: [(Manner, Expected); 5] = [
    (TRUSTING, Accepted),
    (OLD, Accepted),
    (STRANGE, Refused("untrusted")),
    (ELSEWHERE, OtherName),
    (showing(Shown::Stranger), Accepted),
];

const CERTIFICATES: [(Manner, Expected); 6] = [
    (showing(Shown::Valid), Accepted),
    (showing(Shown::Pinned), Accepted),
    (showing(Shown::ForServers), Refused("certificate_invalid")),
    (showing(Shown::Expired), Refused("certificate_expired")),
    (showing(Shown::Stranger), Refused("certificate_unknown_ca")),
    (
        Manner {
            max: "1.2",
            ..showing(Shown::Stranger)
        },
        Refused("certificate_unknown_ca"),
    ),
];

#[test]
fn clients_of_each_make_are_accepted_without_a_certificate_or_refuse_the_relay() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, "", &target);
    check(&relay, &files, &target, &NO_CERTIFICATE_NEEDED);
}

#[test]
fn an_expired_certificate_of_the_relay_is_refused_by_clients_of_each_make() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Expired, "", &target);
    check(&relay, &files, &target, &[(TRUSTING, Refused("untrusted"))]);
}

#[test]
fn requested_certificates_may_be_missing_but_not_wrong() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, &asking(&files, "request"), &target);
    let mut cases = CERTIFICATES.to_vec();
    cases.extend([(TRUSTING, Accepted), (OLD, Accepted)]);
    check(&relay, &files, &target, &cases);
}

#[test]
fn required_certificates_may_be_neither_missing_nor_wrong() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, &asking(&files, "require"), &target);
    let mut cases = CERTIFICATES.to_vec();
    cases.extend([TRUSTING, OLD].map(|manner| (manner, Refused("no_certificate"))));
    check(&relay, &files, &target, &cases);
}

#[test]
fn clients_below_the_lowest_version_are_incompatible() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, ", min-version: \"1.3\"", &target);
    let cases = [(TRUSTING, Accepted), (OLD, Refused("incompatible"))];
    check(&relay, &files, &target, &cases);
}
