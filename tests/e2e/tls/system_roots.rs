//! The variables that name the authorities of the system.

use std::fs;

use super::fault::Files;
use crate::support::{Builder, Front, Relay, Request, Upstream, command::run};

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// A relay with an https upstream whose authority is not configured.
fn relay(front: &Front) -> Builder {
    Relay::builder().upstream_address(&front.url("localhost"))
}

/// Files and folders of authorities: `full` holds the authority of the server, under the name that openssl looks for.
fn folders() -> Files {
    let files = Files::new();
    for folder in ["empty", "full"] {
        fs::create_dir(files.authority.path(folder)).unwrap();
    }
    let ca = files.authority.issuer().pem();
    files.authority.write("full/0a1b2c3d.0", &ca);
    files.authority.write("nothing", "");
    files
}

#[test]
fn a_variable_that_names_no_certificate_is_a_fault_at_the_start() {
    let (files, upstream) = (folders(), Upstream::ok());
    let front = Front::start(upstream.address(), files.valid());
    let cases = [
        (FILE, "missing", "cannot be read"),
        (FILE, "nothing", "holds no certificate"),
        (FILE, "client.key", "holds no certificate"),
        (FOLDERS, "missing", ""),
        (FOLDERS, "empty", "holds no certificate"),
    ];
    for (variable, file, words) in cases {
        let value = files.authority.text(file);
        let ended = relay(&front).env(variable, &value).refused();
        let output = ended.output;
        assert_eq!(ended.status.code(), Some(2), "{file}: {output}");
        let named = format!("{variable} names {value}");
        let remedy = format!("correct or unset {variable}");
        for words in [&*named, words, &*remedy] {
            assert!(output.contains(words), "{file}: no {words} in {output}");
        }
        assert!(!output.contains("PRIVATE KEY"), "{output}");
    }
}

#[test]
fn a_file_a_folder_or_both_hold_the_authorities() {
    let (files, upstream) = (folders(), Upstream::ok());
    let front = Front::start(upstream.address(), files.valid());
    let (ca, other, full) = (
        files.authority.text("ca.crt"),
        files.authority.text("other.crt"),
        files.authority.text("full"),
    );
    // An empty variable counts as unset.
    for (file, folder, status) in [
        (&*ca, "", 200),
        ("", &*full, 200),
        (&*other, &*full, 200),
        (&*other, "", 502),
    ] {
        let relay = relay(&front).env(FILE, file).env(FOLDERS, folder).spawn();
        let response = relay.send(&Request::get("/render"));
        assert_eq!(response.status(), status, "{file} {folder}");
    }
}

#[test]
fn a_variable_that_names_no_certificate_is_a_fault_without_an_https_address_too() {
    // A reload may add an https address, and the variables are read once.
    let (files, upstream) = (folders(), Upstream::ok());
    let ended = Relay::builder()
        .upstream(&upstream)
        .env(FILE, &files.authority.text("missing"))
        .refused();
    assert_eq!(ended.status.code(), Some(2));
    let remedy = "correct or unset SSL_CERT_FILE";
    assert!(ended.output.contains(remedy), "{}", ended.output);
    let variables = [(FILE, &*files.authority.text("missing"))];
    let configuration = "upstream: { address: http://127.0.0.1:4042 }\n";
    let checked = run(
        configuration,
        &["check", "--config", "pyrotee.yaml"],
        &variables,
    );
    checked.expect(2, &[remedy]);
}
