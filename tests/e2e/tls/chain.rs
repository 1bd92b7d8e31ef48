//! Relays that speak TLS with their clients and with targets.

use std::thread;
use std::time::Duration;

use crate::support::{Relay, Request, SOON, Upstream, eventually, pki::Authority};

/// A relay whose clients must show a certificate of the authority, with the certificate `relay`.
fn central(files: &Authority, target: &Upstream) -> Relay {
    let text = |file| files.text(file);
    Relay::builder()
        .remote_write("disable-local-writes: true")
        .yaml(&format!(
            "listen-tls: {{ cert-file: {}, key-file: {}, client-ca-file: {} }}\nreload: {{ interval: 50ms }}",
            text("relay.crt"),
            text("relay.key"),
            text("ca.crt"),
        ))
        .target("pyroscope", target, &[])
        .spawn()
}

/// A relay that sends to `central` with these keys of `tls`.
fn edge(central: &Relay, tls: &str) -> Relay {
    let address = format!("https://localhost:{}", central.addr().port());
    Relay::builder()
        .remote_write("disable-local-writes: true")
        .yaml("reload: { interval: 50ms }")
        .target_address("central", &address, &[&format!("tls: {{ {tls} }}")])
        .spawn()
}

fn keys(files: &Authority) -> String {
    format!(
        "ca-file: {}, cert-file: {}, key-file: {}",
        files.text("ca.crt"),
        files.text("edge.crt"),
        files.text("edge.key")
    )
}

fn files() -> Authority {
    let files = Authority::new();
    files.issue("relay", "localhost");
    files.issue("edge", "edge");
    files
}

fn send(relay: &Relay, name: &str) {
    let profile = Request::post(&format!("/ingest?name={name}"), b"profile");
    assert_eq!(relay.send(&profile).status(), 200);
}

#[test]
fn two_relays_in_a_chain_know_each_other_by_certificates() {
    let (files, target) = (files(), Upstream::ok());
    let central = central(&files, &target);
    let edge = edge(&central, &keys(&files));
    send(&edge, "chained");
    target.wait_for(1, SOON);
}

#[test]
fn a_target_that_wants_a_certificate_is_named_so_and_takes_it_after_a_reload() {
    let (files, target) = (files(), Upstream::ok());
    let central = central(&files, &target);
    let edge = edge(&central, &format!("ca-file: {}", files.text("ca.crt")));
    send(&edge, "kept");
    eventually(SOON, "the status has words", || {
        let status = edge.target_status("central");
        let error =
            status.and_then(|status| Some(status["last_error"]["text"].as_str()?.to_owned()));
        error.is_some_and(|error| error.contains("client certificate"))
    });
    assert!(target.arrivals().is_empty());
    let config = edge.config();
    let with_certificate = config
        .read()
        .replace(&format!("ca-file: {}", files.text("ca.crt")), &keys(&files));
    config.rename_over(&with_certificate);
    target.wait_for(1, SOON);
}

#[test]
fn certificates_that_rotate_under_load_lose_no_profile() {
    let (files, target) = (files(), Upstream::ok());
    let central = central(&files, &target);
    let edge = edge(&central, &keys(&files));
    for round in 0..10 {
        files.issue("relay", "localhost");
        files.issue("edge", "edge");
        for profile in 0..5 {
            send(&edge, &format!("app{round}-{profile}"));
            thread::sleep(Duration::from_millis(10));
        }
    }
    target.wait_for(50, SOON);
    let ledger = edge.ledger("central");
    assert_eq!(ledger.lost().profiles, 0);
    assert!(!edge.output().contains("PRIVATE KEY") && !central.output().contains("PRIVATE KEY"));
}
