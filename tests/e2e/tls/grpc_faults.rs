//! Calls of gRPC to an https upstream that cannot be used: HTTP/2 hides the cause of a failure, the relay does not.

use super::{
    fault::{Fault, Files},
    faults::{CLIENT, SHOWN, SPEECH, TRUST},
    grpc::call,
};
use crate::support::{Front, Relay, SOON, eventually, h2::GrpcUpstream};

#[test]
fn a_certificate_that_is_not_accepted_ends_calls_until_it_is_renewed() {
    SHOWN.iter().chain(TRUST).for_each(refuses);
}

#[test]
fn a_client_certificate_that_the_upstream_refuses_ends_calls_until_it_is_replaced() {
    CLIENT.iter().for_each(refuses);
}

#[test]
fn an_upstream_that_speaks_something_else_ends_calls_until_both_speak_the_same() {
    // For gRPC without TLS, the relay speaks HTTP/2 first, and the address of the upstream needs a restart.
    let https = SPEECH.iter().filter(|fault| fault.scheme == "https");
    https.for_each(refuses);
}

/// The client gets a 502 with the cause and the remedy, no call reaches the upstream, and calls succeed when the fault
/// is mended.
fn refuses(fault: &Fault) {
    let (files, upstream) = (Files::new(), GrpcUpstream::start());
    let front = Front::start(upstream.address(), (fault.speech)(&files));
    let relay = Relay::builder()
        .upstream_address(&fault.address(&front))
        .upstream_option(&files.tls(fault.keys))
        .yaml("reload: { interval: 50ms }")
        .spawn();
    let name = fault.name;
    let response = call(relay.addr());
    assert_eq!(response.head.status, 502, "{name}");
    let body = String::from_utf8_lossy(&response.body).into_owned();
    let error = relay.status()["upstream"]["last_error"].to_string();
    for words in [fault.text, fault.remedy] {
        assert!(error.contains(words), "{name}: no {words} in {error}");
    }
    assert!(
        body.contains("upstream.address"),
        "{name}: {body} {response:?}"
    );
    let errors = relay.metrics();
    let count = |labels: &[_]| errors.sum("pyroscope_relay_upstream_errors_total", labels);
    assert_eq!(
        (count(&[]), count(&[("kind", "tls")])),
        (1.0, 1.0),
        "{name}"
    );
    assert!(upstream.requests().is_empty() && upstream.connections() == 0);

    fault.mend(&files, &front, &relay);
    eventually(SOON, &format!("{name}: the upstream answers"), || {
        call(relay.addr()).head.status == 200
    });
}
