//! The relay as a client: each fault of a server's or of the relay's own certificate, with each make of server.

/// The table of the faults.
mod cases;

use cases::{
    Case,
    Expected::{Ambiguous, Broken, Delivered},
    all, with_schemes,
};

use super::{
    files::Files,
    servers::{Make, Servers},
};
use crate::support::{Relay, Request, SOON, Upstream, eventually, poll};

/// One relay has a target for each case, so that each case also shows that the others do not disturb it.
fn targets(make: Make, cases: &[Case]) {
    let (files, backend) = (Files::new(), Upstream::ok());
    let listeners: Vec<_> = cases.iter().map(|case| case.listener).collect();
    let servers = Servers::start(make, &listeners, &files, &backend);
    let mut builder = Relay::builder().remote_write("disable-local-writes: true");
    for (index, case) in cases.iter().enumerate() {
        let keys = case.keys(&files);
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        builder = builder.target_address(case.name, &case.address(servers.port(index)), &keys);
    }
    let relay = builder.spawn();
    let profile = Request::profile("app", b"profile");
    assert_eq!(relay.send(&profile).status(), 200);
    cases.iter().for_each(|case| check(case, &relay));
    let delivered = cases
        .iter()
        .filter(|case| matches!(case.expected, Delivered));
    assert_eq!(backend.requests().len(), delivered.count());
    assert!(!relay.output().contains("PRIVATE KEY"));
}

/// The relay's upstream fails in the same ways. A client gets a 502, and the log has the words.
fn upstreams(make: Make, cases: &[Case]) {
    let (files, backend) = (Files::new(), Upstream::ok());
    let listeners: Vec<_> = cases.iter().map(|case| case.listener).collect();
    let servers = Servers::start(make, &listeners, &files, &backend);
    for (index, case) in cases.iter().enumerate() {
        let address = case.address(servers.port(index));
        let mut builder = Relay::builder().upstream_address(&address);
        for key in case.keys(&files) {
            builder = builder.upstream_option(&key);
        }
        let relay = builder.spawn();
        let status = relay.send(&Request::get("/render")).status();
        match case.expected {
            Delivered => assert_eq!(status, 200, "{}", case.name),
            // nginx itself answers.
            Broken([page, _]) if page.contains("SSL certificate") => assert_eq!(status, 400),
            Broken(words) | Ambiguous(words) => {
                assert_eq!(status, 502, "{}", case.name);
                let errors = "pyroscope_relay_upstream_errors_total";
                assert_eq!(relay.metrics().sum(errors, &[("kind", "tls")]), 1.0);
                eventually(SOON, words[0], || relay.output().contains(words[0]));
            }
        }
    }
}

/// Waits until the relay has delivered the profile of a case, or says why not.
fn check(case: &Case, relay: &Relay) {
    let name = case.name;
    match case.expected {
        Delivered => {
            relay.wait_ledger(name, name, |ledger| ledger.sent.profiles == 1);
        }
        Broken(words) | Ambiguous(words) => {
            let error = poll(SOON, || {
                let error = relay.target_status(name)?["last_error"].clone();
                error.is_object().then_some(error)
            });
            let error = error.unwrap_or_else(|| panic!("{name}: no error"));
            let is_broken = matches!(case.expected, Broken(_));
            let outcome = if is_broken { "broken" } else { "ambiguous" };
            assert_eq!(error["outcome"], outcome, "{name}: {error}");
            let text = error.to_string();
            for word in words {
                assert!(text.contains(word), "{name}: no {word:?} in {text}");
            }
            assert_eq!(relay.ledger(name).pending.profiles, 1, "{name}");
        }
    }
}

#[test]
fn targets_that_are_openssl_get_profiles_or_are_broken_in_words() {
    targets(Make::OpenSsl, &with_schemes(Make::OpenSsl));
}

#[test]
fn targets_that_are_nginx_get_profiles_or_are_broken_in_words() {
    targets(Make::Nginx, &with_schemes(Make::Nginx));
}

#[test]
fn targets_that_are_go_get_profiles_or_are_broken_in_words() {
    targets(Make::Go, &with_schemes(Make::Go));
}

#[test]
fn upstreams_of_each_make_are_asked_or_fail_in_words() {
    for make in [Make::OpenSsl, Make::Nginx, Make::Go] {
        upstreams(make, &all(make));
    }
}
