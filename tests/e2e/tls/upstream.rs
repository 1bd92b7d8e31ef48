//! Upstreams over https that cannot be used: the client learns why, targets get the profile all the same.

use super::{
    fault::{Fault, Files},
    faults::{CLIENT, SHOWN, SPEECH, TRUST},
};
use crate::support::{Front, Relay, Request, SOON, Upstream, eventually};

const EXPIRY: &str = "pyroscope_relay_upstream_certificate_expiry_timestamp_seconds";
const ERRORS: &str = "pyroscope_relay_upstream_errors_total";

#[test]
fn a_certificate_that_is_not_accepted_is_a_502_until_it_is_renewed() {
    SHOWN.iter().for_each(refuses);
}

#[test]
fn an_authority_that_is_not_trusted_is_a_502_until_it_is_configured() {
    TRUST.iter().for_each(refuses);
}

#[test]
fn a_client_certificate_that_the_upstream_refuses_is_a_502_until_it_is_replaced() {
    CLIENT.iter().for_each(refuses);
}

#[test]
fn an_upstream_that_speaks_something_else_is_a_502_until_both_speak_the_same() {
    SPEECH.iter().for_each(refuses);
}

#[test]
fn an_address_that_needs_a_restart_keeps_its_tls_until_then() {
    let (files, upstream) = (Files::new(), Upstream::ok());
    let front = Front::start(upstream.address(), files.valid());
    let (address, tls) = (front.url("localhost"), files.tls("ca-file: DIR/ca.crt"));
    let relay = Relay::builder()
        .upstream_address(&address)
        .upstream_option(&tls)
        .yaml("reload: { interval: 50ms }")
        .spawn();
    let text = relay.config().read();
    let text = text.replace(&tls, "").replace(&address, &upstream.url());
    relay.config().rename_over(&text);
    let restart = "needs a restart of the relay";
    eventually(SOON, restart, || relay.output().contains(restart));
    assert_eq!(relay.send(&Request::get("/render")).status(), 200);
    assert_eq!(front.handshakes(), 1);
}

#[test]
fn the_expiry_of_the_certificate_that_the_upstream_shows_is_known() {
    let (files, upstream) = (Files::new(), Upstream::ok());
    let expired = &SHOWN[0];
    let front = Front::start(upstream.address(), (expired.speech)(&files));
    let relay = Relay::builder()
        .upstream_address(&expired.address(&front))
        .upstream_option(&files.tls(expired.keys))
        .spawn();
    let expiry = || relay.metrics().value(EXPIRY, &[]);
    assert_eq!(expiry(), Some(0.0), "nothing was shown yet");
    assert_eq!(relay.send(&Request::get("/render")).status(), 502);
    // 2021-01-01.
    assert_eq!(expiry(), Some(1_609_459_200.0));
    front.set(files.valid());
    assert_eq!(relay.send(&Request::get("/render")).status(), 200);
    assert!(expiry() > Some(1_800_000_000.0), "{:?}", expiry());
}

/// The client gets a 502 with the cause, the address and the remedy, and so do log and status; no byte of the profile
/// reaches the upstream, but the target gets it. When the fault is mended, requests are answered again.
fn refuses(fault: &Fault) {
    let (files, target, upstream) = (Files::new(), Upstream::ok(), Upstream::ok());
    let front = Front::start(upstream.address(), (fault.speech)(&files));
    let address = fault.address(&front);
    let relay = Relay::builder()
        .upstream_address(&address)
        .upstream_option(&files.tls(fault.keys))
        .target("central", &target, &[])
        .yaml("reload: { interval: 50ms }")
        .spawn();
    let name = fault.name;
    let profile = Request::profile("app", b"profile");
    let response = relay.send(&profile);
    let body = String::from_utf8_lossy(&response.body.data).into_owned();
    assert_eq!(response.status(), 502, "{name}: {body}");
    eventually(SOON, &format!("{name}: words in the log"), || {
        let log = relay.output();
        log.contains(fault.text) && log.contains(fault.remedy)
    });
    let status = relay.status();
    let error = &status["upstream"]["last_error"];
    for words in [fault.text, fault.remedy] {
        assert!(body.contains(words), "{name}: no {words} in {body}");
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
    let at = format!("upstream.address is {address}");
    assert!(body.contains(&at), "{name}: {body}");
    assert_eq!(error["kind"], "tls", "{name}: {error}");
    assert_eq!(relay.metrics().sum(ERRORS, &[]), 1.0, "{name}");
    assert_eq!(relay.metrics().sum(ERRORS, &[("kind", "tls")]), 1.0);
    assert_eq!(front.passed(), 0, "{name}");
    target.wait_for(1, SOON);

    fault.mend(&files, &front, &relay);
    if fault.scheme == "http" {
        let restart = "needs a restart of the relay";
        return eventually(SOON, restart, || relay.output().contains(restart));
    }
    eventually(SOON, &format!("{name}: the upstream answers"), || {
        relay.send(&profile).status() == 200
    });
    assert_eq!(upstream.only().body.data, b"profile", "{name}");
}
