//! Targets over https that cannot be used: their profiles wait, and arrive when the fault is mended.

use std::time::Duration;

use super::{
    fault::{Fault, Files, Mend},
    faults::{CLIENT, SHOWN, SPEECH, TRUST},
};
use crate::support::{Count, Front, Relay, Request, SOON, Upstream, eventually};

const AMBIGUOUS: &str = "pyroscope_remote_write_ambiguous_total";
const EXPIRY: &str = "pyroscope_remote_write_target_certificate_expiry_timestamp_seconds";
const ERRORS: &str = "pyroscope_remote_write_request_errors_total";

#[test]
fn a_certificate_that_is_not_accepted_keeps_profiles_until_it_is_renewed() {
    SHOWN.iter().for_each(|fault| waits(fault, "drop"));
}

#[test]
fn an_authority_that_is_not_trusted_keeps_profiles_until_it_is_configured() {
    TRUST.iter().for_each(|fault| waits(fault, "drop"));
}

#[test]
fn a_client_certificate_that_the_target_refuses_is_never_ambiguous() {
    for fault in CLIENT {
        waits(fault, "drop");
        waits(fault, "retry");
    }
}

#[test]
fn a_target_that_speaks_something_else_keeps_profiles_until_both_speak_the_same() {
    SPEECH.iter().for_each(|fault| waits(fault, "drop"));
}

#[test]
fn a_target_whose_certificate_was_renewed_is_probed_within_half_a_minute() {
    let labels = [("target", "central")];
    let (files, target) = (Files::new(), Upstream::ok());
    let front = Front::start(target.address(), (SHOWN[0].speech)(&files));
    let relay = Relay::builder()
        .remote_write("disable-local-writes: true")
        .target_address(
            "central",
            &front.url("localhost"),
            &[&files.tls(SHOWN[0].keys)],
        )
        .spawn();
    relay.send(&Request::profile("app", b"profile"));
    eventually(SOON, "a refusal", || is_told(&relay, &SHOWN[0]));
    // 2021-01-01.
    assert_eq!(
        relay.metrics().value(EXPIRY, &labels),
        Some(1_609_459_200.0)
    );
    front.set(files.valid());
    target.wait_for(1, Duration::from_secs(35));
    let expiry = relay.metrics().value(EXPIRY, &labels);
    assert!(expiry > Some(1_800_000_000.0), "{expiry:?}");
}

/// The client gets its 200, the profile waits and no byte of it reaches the target; log and status say the cause and the
/// remedy; when the fault is mended, the profile arrives once.
fn waits(fault: &Fault, on_ambiguous: &str) {
    let (files, target, upstream) = (Files::new(), Upstream::ok(), Upstream::ok());
    let front = Front::start(target.address(), (fault.speech)(&files));
    let options = [
        files.tls(fault.keys),
        format!("on-ambiguous: {on_ambiguous}"),
    ];
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address(
            "central",
            &fault.address(&front),
            &options.each_ref().map(String::as_str),
        )
        .yaml("reload: { interval: 50ms }")
        .spawn();
    let name = fault.name;
    let sent = relay.send(&Request::profile("app", b"profile"));
    assert_eq!(sent.status(), 200, "{name}");
    eventually(SOON, &format!("{name}: an error in the status"), || {
        is_told(&relay, fault)
    });
    eventually(SOON, &format!("{name}: words in the log"), || {
        let log = relay.output();
        [fault.text, fault.remedy, "suspended"]
            .iter()
            .all(|words| log.contains(words))
    });
    let metrics = relay.metrics();
    let labels = [("target", "central")];
    assert_eq!(metrics.sum(AMBIGUOUS, &labels), 0.0, "{name}");
    let failed = |labels: &[_]| metrics.sum(ERRORS, labels);
    assert_eq!(failed(&labels), failed(&[labels[0], ("kind", "tls")]));
    assert_eq!(relay.ledger("central").pending, Count::new(1, 7), "{name}");
    assert_eq!(front.passed(), 0, "{name}");

    fault.mend(&files, &front, &relay);
    if matches!(fault.mend, Mend::Server) {
        // The next probe is due in half a minute; a change of the target's own files is tried at once.
        files.renew_ca();
    }
    target.wait_for(1, SOON);
    relay.wait_ledger("central", name, |ledger| ledger.sent == Count::new(1, 7));
    assert_eq!(target.arrivals().len(), 1, "{name}");
}

/// Whether the status of the target has the fault, and the target is suspended.
fn is_told(relay: &Relay, fault: &Fault) -> bool {
    let status = relay.target_status("central").expect("it is configured");
    let error = &status["last_error"];
    if error.is_null() {
        return false;
    }
    let has = |field: &str, words: &str| error[field].as_str().unwrap_or_default().contains(words);
    let told = has("text", fault.text) && has("remedy", fault.remedy) && has("outcome", "broken");
    assert!(told, "{}: {error}", fault.name);
    // The error is shown a moment before the circuit breaker counts it.
    status["state"] == "suspended"
}
