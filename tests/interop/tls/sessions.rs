//! `openssl s_client`: resumed sessions, renegotiation, and a version before TLS 1.2.

use std::{
    io::{Read as _, Write as _},
    process::Stdio,
};

use super::{
    clients::{Client, TRUSTING, exchange, s_client, upload},
    files::{CA, Files, Shown, serial},
    incoming::{failures, relay},
    process::Process,
};
use crate::support::{SOON, Upstream, eventually};

#[test]
fn a_session_is_resumed_until_the_certificate_is_renewed() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, "", &target);
    for version in ["-tls1_2", "-tls1_3"] {
        let session = files.path("session");
        let ask = |arguments: &[&str]| {
            let mut client = s_client(relay.addr().port(), &files.path(CA));
            let output = exchange(client.arg(version).args(arguments), &upload());
            assert!(output.contains("HTTP/1.1 200 "), "{output}");
            output
        };
        let is_of = |output: &str, how: &str, of: &str| {
            assert!(output.contains(how), "{version}: not {how}\n{output}");
            assert_eq!(serial(output.as_bytes()), of, "{version}");
        };
        let old = files.serial(Shown::Valid);
        is_of(&ask(&["-sess_out", &session]), "New, TLS", &old);
        let both = ["-sess_in", &session, "-sess_out", &session];
        is_of(&ask(&both), "Reused, TLS", &old);

        files.renew();
        let new = files.serial(Shown::Valid);
        eventually(SOON, "the new certificate is in force", || {
            serial(ask(&[]).as_bytes()) == new
        });
        is_of(&ask(&["-sess_in", &session]), "New, TLS", &new);
    }
}

#[test]
fn renegotiation_gets_no_second_handshake_and_disturbs_nobody() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, "", &target);
    let mut client = s_client(relay.addr().port(), &files.path(CA));
    let client = client.args(["-tls1_2", "-msg"]).stdin(Stdio::piped());
    let mut client = Process::start(client.stdout(Stdio::piped()));
    let mut stdin = client.child().stdin.take().expect("it is piped");
    let mut stdout = client.child().stdout.take().expect("it is piped");
    stdin.write_all(b"R\n").expect("s_client reads");
    eventually(SOON, "it is asked for", || {
        client.text().contains("RENEGOTIATING")
    });
    let (accepted, output) = Client::OpenSsl.send(relay.addr().port(), &files, &TRUSTING);
    assert!(accepted, "{output}");
    // The relay owes the client nothing: the connection ends here, or when the relay's time for a request is over.
    drop(client);
    let mut messages = String::new();
    stdout
        .read_to_string(&mut messages)
        .expect("s_client writes ASCII");
    assert_eq!(messages.matches(", ClientHello").count(), 2, "{messages}");
    assert_eq!(messages.matches(", ServerHello\n").count(), 1, "{messages}");
}

#[test]
fn tls_before_1_2_is_incompatible() {
    let (files, target) = (Files::new(), Upstream::ok());
    let relay = relay(&files, Shown::Valid, "", &target);
    let mut client = s_client(relay.addr().port(), &files.path(CA));
    // OpenSSL itself refuses old versions at its usual level of security.
    client.args(["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"]);
    let output = exchange(&mut client, &upload());
    // rustls misses the signature algorithms of TLS 1.2 before it looks at the version.
    assert!(output.contains("alert handshake failure"), "{output}");
    eventually(SOON, "it is counted", || {
        failures(&relay, "incompatible") == 1.0
    });
}
