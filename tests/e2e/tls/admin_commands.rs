//! The admin listener over TLS, asked by the commands.

use std::path::Path;

use crate::support::{
    Relay, Request, SOON, Upstream, client,
    command::{Done, pyrotee, run},
    eventually,
    pki::Authority,
};

/// A relay whose admin listener has the certificate `relay`, and further keys of `admin-tls`.
fn relay(files: &Authority, keys: &str) -> Relay {
    let (cert, key) = (files.text("relay.crt"), files.text("relay.key"));
    let target = Upstream::ok();
    Relay::builder()
        .remote_write("disable-local-writes: true")
        .yaml(&format!(
            "admin-tls: {{ cert-file: {cert}, key-file: {key}{keys} }}\nreload: {{ interval: 100ms }}"
        ))
        .target("central", &target, &[])
        .spawn()
}

/// Runs a command with a configuration that has the relay's address and `certificate`.
fn configured(relay: &Relay, certificate: &Path, args: &[&str]) -> Done {
    let (admin, cert) = (relay.admin(), certificate.display());
    let file =
        format!("admin: {admin}\nadmin-tls: {{ cert-file: {cert}, key-file: /none/relay.key }}\n");
    let args = [args, &["--config", "pyrotee.yaml"]].concat();
    run(&file, &args, &[])
}

#[test]
fn commands_accept_exactly_the_certificate_of_the_configuration() {
    let files = Authority::new();
    files.issue("relay", "some.other.name");
    files.issue("stranger", "some.other.name");
    let relay = relay(&files, "");
    let (own, stranger) = (files.path("relay.crt"), files.path("stranger.crt"));
    configured(&relay, &own, &["status"]).expect(0, &["central"]);
    configured(&relay, &own, &["healthcheck"]).expect(0, &["ready"]);
    configured(&relay, &own, &["reload"]).expect(0, &["nothing changed"]);
    configured(&relay, &stranger, &["status"]).expect(1, &["failed to reach the admin listener"]);
    configured(&relay, &files.path("none"), &["status"])
        .expect(2, &["admin-tls.cert-file: the file"]);
}

#[test]
fn an_address_that_is_given_is_verified_by_name_and_authority() {
    let files = Authority::new();
    files.issue("relay", "127.0.0.1");
    let relay = relay(&files, "");
    let (https, ca) = (format!("https://{}", relay.admin()), files.text("ca.crt"));
    pyrotee(&["status", "--admin", &https, "--ca-file", &ca]).expect(0, &["central"]);
    pyrotee(&["status", "--admin", &https]).expect(1, &["failed to reach the admin listener"]);
    let stranger = Authority::new().text("ca.crt");
    pyrotee(&["status", "--admin", &https, "--ca-file", &stranger]).expect(1, &[]);
    let wrong_name = format!("https://localhost:{}", relay.admin().port());
    pyrotee(&["status", "--admin", &wrong_name, "--ca-file", &ca]).expect(1, &[]);

    let http = relay.admin().to_string();
    pyrotee(&["status", "--admin", &http]).expect(1, &["400", "write https://"]);
    pyrotee(&["status", "--admin", &http, "--ca-file", &ca]).expect(2, &["--ca-file"]);
    let key = files.text("relay.key");
    pyrotee(&["status", "--admin", &https, "--ca-file", &key]).expect(
        2,
        &["--ca-file: ", "holds a private key and no certificate"],
    );
}

#[test]
fn plain_http_gets_a_400_that_says_so() {
    let files = Authority::new();
    files.issue("relay", "127.0.0.1");
    let relay = relay(&files, "");
    let response = client::send(relay.admin(), &Request::get("/metrics"));
    assert_eq!(response.status(), 400);
    assert!(String::from_utf8_lossy(&response.body.data).contains("https://"));
}

#[test]
fn with_a_required_certificate_only_health_is_answered_without_one() {
    let (files, strangers) = (Authority::new(), Authority::new());
    files.issue("relay", "127.0.0.1");
    files.issue("client", "operator");
    strangers.issue("client", "operator");
    let ca = files.text("ca.crt");
    let relay = relay(&files, &format!(", client-ca-file: {ca}"));
    let own = files.path("relay.crt");
    let with = |files: &Authority| {
        let (cert, key) = (files.text("client.crt"), files.text("client.key"));
        configured(
            &relay,
            &own,
            &["status", "--cert-file", &cert, "--key-file", &key],
        )
    };
    configured(&relay, &own, &["healthcheck"]).expect(0, &["ready"]);
    configured(&relay, &own, &["status"]).expect(
        1,
        &[
            "403",
            "admin-tls.client-ca-file",
            "--cert-file and --key-file",
        ],
    );
    configured(&relay, &own, &["reload"]).expect(1, &["403"]);
    with(&files).expect(0, &["central"]);
    with(&strangers).expect(1, &[]);
}

#[test]
fn a_renewed_certificate_is_in_force_and_half_of_a_pair_is_not() {
    let files = Authority::new();
    files.issue("relay", "127.0.0.1");
    let relay = relay(&files, "");
    let (old, new) = (files.path("old.crt"), files.path("new.crt"));
    files.copy("relay.crt", &old);
    let (certificate, key) = files.signed("127.0.0.1");
    files.write("new.crt", &certificate);

    files.write("relay.crt", &certificate);
    eventually(SOON, "the half pair is noticed", || {
        let status = configured(&relay, &old, &["status"]).expect(0, &[]);
        status.out.contains("keeps its last good content")
    });
    files.write("relay.key", &key);
    eventually(SOON, "the new pair is in force", || {
        configured(&relay, &new, &["status"]).code == Some(0)
    });
    configured(&relay, &old, &["status"]).expect(1, &[]);
    let status = configured(&relay, &new, &["status"]).expect(0, &[]);
    assert!(!status.out.contains("keeps its last"), "{}", status.out);
    assert!(!relay.output().contains("PRIVATE KEY"));
}
