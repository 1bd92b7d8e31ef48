//! Large profiles for servers that refuse the client's certificate after the handshake, as TLS 1.3 does: the alert races
//! with the profile, and with the reset that follows if the server read nothing of the profile.

use super::{
    fault::{Fault, Files},
    faults::{NO_CERTIFICATE, WRONG_AUTHORITY},
};
use crate::support::{Count, Front, Relay, Request, SOON, Upstream, client::noise, eventually};

/// Targets at once: each is one try.
const TARGETS: usize = 10;

#[test]
fn a_large_profile_without_a_certificate_waits() {
    waits(&NO_CERTIFICATE, "client certificate");
}

#[test]
fn a_large_profile_with_a_certificate_of_another_authority_waits() {
    waits(&WRONG_AUTHORITY, WRONG_AUTHORITY.text);
}

fn waits(fault: &Fault, text: &str) {
    for (size, on_ambiguous) in [(64 << 10, "drop"), (1 << 20, "drop"), (8 << 20, "retry")] {
        let (files, target) = (Files::new(), Upstream::ok());
        let front = Front::start(target.address(), (fault.speech)(&files));
        let names: Vec<_> = (0..TARGETS).map(|nth| format!("target{nth}")).collect();
        let options = [
            files.tls(fault.keys),
            format!("on-ambiguous: {on_ambiguous}"),
        ];
        let builder = Relay::builder()
            .yaml("reload: { interval: 50ms }")
            .remote_write("disable-local-writes: true");
        let relay = names.iter().fold(builder, |builder, name| {
            let options = options.each_ref().map(String::as_str);
            builder.target_address(name, &front.url("localhost"), &options)
        });
        let relay = relay.spawn();
        let sent = relay.send(&Request::profile("app", &noise(size)));
        assert_eq!(sent.status(), 200);
        for name in &names {
            eventually(SOON, &format!("{size}: an error of {name}"), || {
                let status = relay.target_status(name).expect("it is configured");
                let error = &status["last_error"];
                if error.is_null() {
                    return false;
                }
                let words = error["text"].as_str().unwrap_or_default();
                assert!(words.contains(text), "{size}: {error}");
                assert_eq!(error["outcome"], "broken", "{size}");
                true
            });
            assert_eq!(relay.ledger(name).pending, Count::new(1, size));
        }
        assert_eq!(front.passed(), 0);
        fault.mend(&files, &front, &relay);
        target.wait_for(TARGETS, SOON);
    }
}
