//! Keys, passphrases and the text around them are shown nowhere, whatever is wrong with their files.

use std::{fs, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pyrotee_tls::testing::{Authority, Pair};
use rustls::ALL_VERSIONS;

use super::rotation::{
    damage::DAMAGES,
    rig::{Rotating, SECTIONS},
};
use crate::support::{
    Answer, Relay, Request, SOON, TlsClient, Upstream,
    command::{Done, pyrotee},
    eventually, poll, tls,
};

/// Stands in every file, outside of the blocks.
const MARKER: &str = "PLANTED-passphrase";

/// A pair in files with the marker, as tools write comments and attributes around the blocks.
fn planted(pair: &Pair) -> Pair {
    let around = |pem: &str| format!("Bag Attributes: {MARKER}\n{pem}# {MARKER}\n");
    Pair {
        cert: around(&pair.cert),
        key: around(&pair.key),
    }
}

/// All spellings of parts of a key: base64, and bytes as `{:?}` and `{:x?}` would show them.
fn spellings(pair: &Pair) -> Vec<String> {
    let is_base64 = |line: &&str| !line.is_empty() && !line.contains(['-', ':', '#']);
    let lines: Vec<&str> = pair.key.lines().filter(is_base64).collect();
    let der = STANDARD.decode(lines.concat()).expect("base64");
    // Within the private number of a P-256 key in PKCS#8.
    let number = &der[40..60];
    let mut all: Vec<String> = lines
        .iter()
        .map(|line| line[line.len() / 2..].to_owned())
        .collect();
    let decimal: Vec<_> = number.iter().map(u8::to_string).collect();
    let hex: String = number.iter().map(|byte| format!("{byte:02x}")).collect();
    all.extend([
        decimal.join(", "),
        format!("{number:x?}"),
        hex.to_uppercase(),
        hex,
    ]);
    all
}

/// What must not be shown.
struct Secrets(Vec<String>);

impl Secrets {
    fn new() -> Self {
        Self(vec![MARKER.to_owned()])
    }

    fn pair(&mut self, authority: &Authority) -> Pair {
        let pair = authority.issue(&["localhost"]);
        self.0.extend(spellings(&pair));
        planted(&pair)
    }

    fn assert_clean(&self, what: &str, text: &str) {
        assert!(!text.is_empty(), "{what} is empty, which proves nothing");
        for secret in &self.0 {
            assert!(!text.contains(secret), "{secret} in {what}:\n{text}");
        }
    }

    fn assert_silent(&self, what: &str, done: &Done) {
        self.assert_clean(what, &format!("{} {}", done.out, done.err));
    }
}

/// Every page of the admin listener.
fn pages(it: &Rotating) -> String {
    let paths = [
        "/",
        "/metrics",
        "/api/v1/status",
        "/api/v1/dead-letters",
        "/config",
        "/debug",
        "/-/healthy",
        "/-/ready",
    ];
    let pages = paths.map(|path| String::from_utf8_lossy(&it.page(path)).into_owned());
    pages.concat()
}

/// Every file below a directory.
fn files(directory: &std::path::Path) -> String {
    let entries = fs::read_dir(directory).expect("a directory");
    let texts = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files(&path),
            false => String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned(),
        }
    });
    texts.collect()
}

/// The command `check --print` with the configuration of a relay.
fn check(relay: &Relay) -> Done {
    let config = relay.home().join("pyrotee.yaml").display().to_string();
    pyrotee(&["check", "--log-level", "trace", "--print", &config])
}

#[test]
fn a_running_relay_shows_nothing_of_its_keys_whatever_becomes_of_their_files() {
    let secrets = std::cell::RefCell::new(Secrets::new());
    let target = Upstream::script(|arrival| match arrival.head.query().contains("rejected") {
        true => Answer::error(400, "invalid_argument", "this profile is refused"),
        false => Answer::ok(),
    });
    let builder =
        Relay::builder().yaml("log: { level: trace }\ndead-letters: { dir: \"{home}/letters\" }");
    let remember = |pair: &Pair| {
        secrets.borrow_mut().0.extend(spellings(pair));
        planted(pair)
    };
    let mut it = Rotating::with(builder, target, &remember);
    let send = |it: &Rotating, name: &str| {
        let response = it
            .client
            .send(it.relay.addr(), &Request::profile(name, b"profile"));
        assert_eq!(response.expect(name).status(), 200);
    };
    send(&it, "accepted");
    let letters = it.relay.home().join("letters");
    eventually(SOON, "a dead letter", || {
        send(&it, "rejected");
        files(&letters).contains("rejected")
    });
    check(&it.relay).expect(0, &["listen-tls"]);

    for damage in DAMAGES {
        let new = SECTIONS.map(|_| secrets.borrow_mut().pair(&it.authority));
        it.damage(&damage, &new);
        it.wait_damage(&damage);
        let secrets = secrets.borrow();
        secrets.assert_clean(damage.word, &pages(&it));
        secrets.assert_silent(damage.word, &check(&it.relay));
        send(&it, "accepted-too");
        it.mend(&new);
        secrets.assert_silent(damage.word, &check(&it.relay).expect(0, &[]));
    }
    // A client that is refused, and one that asks for more than it should.
    let stranger = Authority::new("a stranger").issue(&["client"]);
    let refused = TlsClient::new(tls::client(
        &it.authority.pem(),
        Some(&stranger),
        ALL_VERSIONS,
    ));
    refused
        .send(it.relay.addr(), &Request::get("/"))
        .expect_err("a stranger");
    let secrets = secrets.borrow();
    secrets.assert_clean("the pages", &pages(&it));
    secrets.assert_clean("the dead letters", &files(&letters));

    it.relay.sigterm();
    poll(SOON, || {
        it.relay.output().contains("stopping").then_some(())
    });
    it.relay.sigterm();
    assert_eq!(it.relay.wait(SOON).expect("an end").code(), Some(0));
    let log = it.relay.output();
    assert!(log.contains("TRACE"), "the log is detailed");
    secrets.assert_clean("the log", &log);
}

#[test]
fn faults_at_the_start_and_of_commands_show_nothing_of_a_key() {
    let (authority, mut secrets) = (Authority::new("the authority of a test"), Secrets::new());
    let pair = secrets.pair(&authority);
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let write = |name: &str, content: &str| {
        let path = home.path().join(name);
        fs::write(&path, content).expect("a file can be written");
        path.display().to_string()
    };
    let (cert, key) = (write("tls.crt", &pair.cert), write("tls.key", &pair.key));
    let body = pair.key.lines().nth(2).expect("base64").to_owned();
    let damaged = [
        ("swapped", pair.key.clone()),
        ("cut", pair.key[..pair.key.len() * 2 / 3].to_owned()),
        (
            "encrypted",
            pair.key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
        ),
        (
            "encrypted-old",
            pair.key.replace(
                &body,
                &format!("Proc-Type: 4,ENCRYPTED\nDEK-Info: {MARKER}\n\n{body}"),
            ),
        ),
        (
            "broken-label",
            pair.key
                .replace("BEGIN PRIVATE KEY-", &format!("BEGIN {MARKER} ")),
        ),
        (
            "no-base64",
            pair.key.replace(&body, &format!("{body}!{MARKER}!")),
        ),
        ("other-label", pair.key.replace("PRIVATE KEY", MARKER)),
        ("twice", format!("{0}{0}", pair.key)),
        ("text", MARKER.to_owned()),
    ];
    for (word, content) in damaged {
        let file = write(word, &content);
        for (cert, key) in [(&file, &key), (&cert, &file), (&file, &file)] {
            let identity = format!("cert-file: {cert}, key-file: {key}");
            let ended = Relay::builder()
                .env("PYROTEE__LOG__LEVEL", "trace")
                .yaml(&format!(
                    "listen-tls: {{ {identity}, client-ca-file: {file} }}"
                ))
                .yaml(&format!("admin-tls: {{ {identity} }}"))
                .target_address(
                    "central",
                    "https://localhost:1",
                    &[&format!("tls: {{ ca-file: {file}, {identity} }}")],
                )
                .refused();
            assert_eq!(ended.status.code(), Some(2), "{word}: {}", ended.output);
            secrets.assert_clean(word, &ended.output);

            let command = [
                "status",
                "--admin",
                "https://127.0.0.1:1",
                "--ca-file",
                &file,
            ];
            let identity = ["--cert-file", cert, "--key-file", key];
            let done = pyrotee(&[&command[..], &identity].concat());
            secrets.assert_silent(word, &done.expect(2, &[]));
        }
        let output = Command::new(env!("CARGO_BIN_EXE_pyrotee"))
            .args(["status", "--admin", "https://127.0.0.1:1"])
            .env("SSL_CERT_FILE", &file)
            .output()
            .expect("the binary was built with this test");
        secrets.assert_clean(word, &String::from_utf8_lossy(&output.stderr));
    }
}
