use std::fs;

use super::{
    CONNECTED, numbered, relay_only, send, wait_until, wait_until_connected, wait_until_shared,
};
use crate::support::{
    Builder, Relay, SOON,
    nats::{CREDENTIALS, Login, NKEY, Nats, OPERATOR},
    pki::Authority,
    poll,
    ports::Refusing,
};

/// A relay whose backlog is on `server`, with these keys of `shared`.
fn relay(server: &str, port: &Refusing, more: &str) -> Relay {
    Relay::builder()
        .yaml(&format!(
            "shared: {{ servers: [\"{server}\"], replicas: 1, max-bytes: 64MiB, after: 1s, {more} }}"
        ))
        .remote_write("disable-local-writes: true")
        .target_address("central", &port.url(), &[])
        .spawn()
}

/// The relay connects, and hands profiles over.
fn works(relay: &Relay) {
    wait_until_connected(relay);
    send(relay, &numbered(3));
    wait_until_shared(relay, 3);
}

/// The relay does not connect, and says why.
fn is_refused(relay: &Relay, words: &str) {
    let status = || relay.status()["shared"].to_string().to_lowercase();
    let says = poll(2 * SOON, || status().contains(words).then_some(()));
    assert!(says.is_some(), "{words}: {}", status());
    assert!(relay.output().to_lowercase().contains(words), "{words}");
    assert_eq!(relay.metrics().value(CONNECTED, &[]), Some(0.0));
}

#[test]
fn a_token_and_a_user_are_shown() {
    let port = Refusing::new();
    let nats = Nats::with("authorization { token: t0ken }", Login::Token("t0ken"));
    works(&relay(&nats.url(), &port, "auth: { token: t0ken }"));
    let nats = Nats::with(
        "authorization { user: u, password: p }",
        Login::User("u", "p"),
    );
    works(&relay(&nats.url(), &port, "auth: { user: u, password: p }"));
    is_refused(
        &relay(&nats.url(), &port, "auth: { user: u, password: other }"),
        "authoriz",
    );
    is_refused(&relay(&nats.url(), &port, ""), "authoriz");
}

#[test]
fn an_nkey_is_read_at_each_connect() {
    let [seed, public] = NKEY;
    let users = |key: &str| {
        format!(
            "authorization {{ users: [ {{ nkey: {key} }}, {{ user: test, password: test }} ] }}"
        )
    };
    let mut nats = Nats::with(&users(public), Login::User("test", "test"));
    let (port, file) = (Refusing::new(), nats.path("relay.nk"));
    // The key of a user whom the server does not know: the file changes while the relay runs.
    let other = CREDENTIALS
        .lines()
        .find(|line| line.starts_with("SU"))
        .expect("a seed");
    fs::write(&file, other).expect("a file can be written");
    let keys = format!("auth: {{ nkey-file: \"{}\" }}", file.display());
    let relay = relay(&nats.url(), &port, &keys);
    is_refused(&relay, "authoriz");
    fs::write(&file, format!("{seed}\n")).expect("a file can be written");
    works(&relay);
    nats.kill();
    wait_until(&relay, CONNECTED, 0.0);
    nats.restart();
    wait_until_connected(&relay);
}

#[test]
fn credentials_of_an_operator_are_shown() {
    // The test itself has no connection: requests without credentials are refused.
    let nats = Nats::with(OPERATOR, Login::Nobody);
    let (port, file) = (Refusing::new(), nats.path("relay.creds"));
    fs::write(&file, CREDENTIALS).expect("a file can be written");
    let keys = format!("auth: {{ creds-file: \"{}\" }}", file.display());
    works(&relay(&nats.url(), &port, &keys));
    is_refused(&relay(&nats.url(), &port, ""), "authoriz");
}

/// A server that speaks TLS with a certificate for `name`.
fn with_tls(authority: &Authority, name: &str, more: &str) -> Nats {
    authority.issue("server", name);
    let config = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", {more} }}",
        authority.text("server.crt"),
        authority.text("server.key")
    );
    Nats::with(&config, Login::Nobody)
}

#[test]
fn the_certificate_of_the_server_is_checked_for_its_configured_name() {
    let (authority, port) = (Authority::new(), Refusing::new());
    let tls = format!("tls: {{ ca-file: \"{}\" }}", authority.text("ca.crt"));
    let nats = with_tls(&authority, "localhost", "");
    works(&relay(&nats.tls_url(), &port, &tls));
    // By another name, by an authority that is not trusted, and without TLS.
    let by_address = nats.tls_url().replace("localhost", "127.0.0.1");
    is_refused(&relay(&by_address, &port, &tls), "certificate");
    let other = Authority::new();
    let untrusted = format!("tls: {{ ca-file: \"{}\" }}", other.text("ca.crt"));
    is_refused(&relay(&nats.tls_url(), &port, &untrusted), "certificate");
    let foreign = with_tls(&authority, "elsewhere.example", "");
    is_refused(&relay(&foreign.tls_url(), &port, &tls), "certificate");
    let plain = Nats::start();
    is_refused(&relay(&plain.tls_url(), &port, &tls), "tls");
}

#[test]
fn a_client_certificate_is_shown_and_its_files_are_read_at_each_connect() {
    let (authority, port) = (Authority::new(), Refusing::new());
    let ca = authority.text("ca.crt");
    let mut nats = with_tls(
        &authority,
        "localhost",
        &format!("ca_file: \"{ca}\", verify: true"),
    );
    authority.issue("relay", "relay");
    let files = format!(
        "tls: {{ ca-file: \"{ca}\", cert-file: \"{}\", key-file: \"{}\" }}",
        authority.text("relay.crt"),
        authority.text("relay.key")
    );
    let with = relay(&nats.tls_url(), &port, &files);
    works(&with);
    let without = relay(
        &nats.tls_url(),
        &port,
        &format!("tls: {{ ca-file: \"{ca}\" }}"),
    );
    is_refused(&without, "certificate");
    authority.issue("relay", "relay");
    nats.kill();
    wait_until(&with, CONNECTED, 0.0);
    nats.restart();
    wait_until_connected(&with);
}

#[test]
fn the_second_of_two_servers_is_used_while_the_first_is_away() {
    let (nats, gone, port) = (Nats::start(), Refusing::new(), Refusing::new());
    let servers = format!("nats://{gone}\", \"{}", nats.url());
    works(&relay(&servers, &port, ""));
    let builder: Builder = relay_only(&nats, "after: 1s");
    let relay = builder.target_address("central", &port.url(), &[]).spawn();
    wait_until_connected(&relay);
}
