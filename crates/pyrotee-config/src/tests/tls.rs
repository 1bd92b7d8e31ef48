//! Tests of the sections of TLS.

use pyrotee_tls::{ClientAuth, MinVersion};

use super::{
    Case,
    pem::{Pair, Pem},
    target, yaml,
};
use crate::{Config, needs_restart};

/// A file with an https target `bar` whose section `tls` has these keys.
fn outgoing(files: &Pem, tls: &str) -> Case {
    let mut case = target(&files.expanded(&format!("      tls: {{ {tls} }}\n")));
    case.yaml = case.yaml.replace("http://bar", "https://bar");
    case
}

fn listener(files: &Pem, section: &str, tls: &str) -> Case {
    yaml(&files.expanded(&format!("{section}: {{ {tls} }}\n")))
}

const PAIR: &str = "cert-file: DIR/tls.crt, key-file: DIR/tls.key";

#[test]
fn an_https_address_has_tls_and_an_http_address_has_none() {
    let config = yaml(
        "upstream: { address: https://u }\nremote-write: { targets: { a: { address: http://a }, b: { address: https://b } } }\n",
    )
    .config();
    let targets = &config.remote_write.targets;
    assert!(targets[0].tls.is_none());
    let (target, upstream) = (
        targets[1].tls.as_ref().unwrap(),
        config.upstream.clone().unwrap(),
    );
    let upstream = upstream.tls.unwrap();
    assert!(target.tls == upstream.tls && !target.tls.skips_verification());
    assert!(!config.to_yaml().contains("tls"));
}

#[test]
fn every_key_towards_a_server_is_taken_and_rendered() {
    let files = Pem::new();
    let keys = "ca-file: DIR/ca.crt, system-roots: true, cert-file: DIR/tls.crt, key-file: DIR/tls.key, \
                server-name: other.example, min-version: 1.3, insecure-skip-verify: true";
    let config = outgoing(&files, keys).config();
    let tls = config.remote_write.targets[0].tls.as_ref().unwrap();
    let settings = &tls.settings;
    let text = files.expanded("DIR/ca.crt");
    assert_eq!(settings.ca.as_ref().unwrap().path().to_str(), Some(&*text));
    assert!(settings.system_roots && settings.insecure_skip_verify && settings.identity.is_some());
    assert_eq!(settings.server_name.as_deref(), Some("other.example"));
    assert_eq!(settings.min_version, MinVersion::Tls13);
    assert!(tls.tls.skips_verification());
    for line in [
        "      tls:\n        ca-file: ",
        "        system-roots: true\n        cert-file: ",
        "        key-file: ",
        "        server-name: other.example\n        min-version: \"1.3\"\n        insecure-skip-verify: true\n",
    ] {
        assert!(config.to_yaml().contains(line), "{line}");
    }
    let again = yaml(&config.to_yaml()).config();
    assert!(config.difference(&again).is_empty());
}

#[test]
fn every_key_of_a_listener_is_taken_and_rendered() {
    let files = Pem::new();
    let all = format!("{PAIR}, client-ca-file: DIR/ca.crt, client-auth: request, min-version: 1.3");
    for section in ["listen-tls", "admin-tls"] {
        let config = listener(&files, section, &all).config();
        let of = |config: &Config| match section {
            "listen-tls" => config.listen_tls.clone().unwrap(),
            _ => config.admin_tls.clone().unwrap(),
        };
        assert_eq!(of(&config).settings.client_auth, ClientAuth::Request);
        assert_eq!(of(&config).settings.min_version, MinVersion::Tls13);
        let again = yaml(&config.to_yaml()).config();
        assert!(config.difference(&again).is_empty(), "{}", config.to_yaml());
        assert!(of(&config).tls == of(&again).tls);
    }
}

#[test]
fn client_auth_follows_from_client_ca_file_and_admin_asks_in_its_guard() {
    let files = Pem::new();
    let with_ca = format!("{PAIR}, client-ca-file: DIR/ca.crt");
    let listen = |tls: &str| {
        listener(&files, "listen-tls", tls)
            .config()
            .listen_tls
            .unwrap()
    };
    let admin = |tls: &str| {
        listener(&files, "admin-tls", tls)
            .config()
            .admin_tls
            .unwrap()
    };
    for tls in [listen(PAIR), admin(PAIR)] {
        assert_eq!(tls.settings.client_auth, ClientAuth::None);
    }
    let (listen, admin) = (listen(&with_ca), admin(&with_ca));
    assert_eq!(listen.settings.client_auth, ClientAuth::Require);
    assert_eq!(listen.tls.client_auth(), ClientAuth::Require);
    assert_eq!(admin.settings.client_auth, ClientAuth::Require);
    assert_eq!(admin.tls.client_auth(), ClientAuth::Request);
}

#[test]
fn each_mistake_towards_a_server_is_a_fault_of_its_key() {
    let files = Pem::new();
    files.write("empty", "");
    for (tls, fault) in [
        (
            "cert-file: DIR/tls.crt",
            "cert-file: stands without key-file; write both or neither",
        ),
        (
            "key-file: DIR/tls.key",
            "key-file: stands without cert-file; write both or neither",
        ),
        (
            "cert-file: DIR/tls.key, key-file: DIR/tls.crt",
            "key-file: DIR/tls.crt holds a certificate and no private key; check",
        ),
        ("ca-file: DIR/empty", "ca-file: DIR/empty is empty; write"),
        (
            "ca-file: DIR/none",
            "ca-file: the file `DIR/none` cannot be read: No such file",
        ),
        (
            "ca-file: ca.crt",
            "ca-file: `ca.crt` has no absolute path; write one",
        ),
        (
            "ca-file: \"\"",
            "ca-file: is empty; write the path of a PEM file",
        ),
        ("server-name: \"\"", "server-name: is empty; write a name"),
        (
            "server-name: \"a b\"",
            "server-name: \"a b\" is no DNS name",
        ),
        (
            "min-version: 1.1",
            "min-version: `1.1` is not known; write one of 1.2, 1.3",
        ),
        (
            "insecure-skip-verify: yes",
            "insecure-skip-verify: `yes` is neither true nor false",
        ),
        ("cafile: x", "cafile: unknown key; did you mean `ca-file`?"),
    ] {
        let faults = outgoing(&files, tls).faults().replace(&files.dir(), "DIR");
        let fault = format!("pyrotee.yaml:6: remote-write.targets.bar.tls.{fault}");
        assert!(faults.contains(&fault), "{faults}");
    }
    let plain = target("      tls: { system-roots: true }\n");
    plain.fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.tls: stands beside an address with http://; write https://… or remove it",
    );
    let upstream = yaml("upstream: { tls: { system-roots: true } }\n");
    assert!(upstream.faults().contains("upstream.tls: stands beside"));
    target("      ca-file: /x\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.ca-file: unknown key here; it belongs under `tls`",
    );
}

#[test]
fn each_mistake_of_a_listener_is_a_fault_of_its_key() {
    let files = Pem::new();
    files.write("other.key", Pair::new((2020, 2100)).key);
    for (tls, fault) in [
        ("min-version: 1.3", "cert-file: is missing; write the path"),
        (
            "cert-file: DIR/tls.crt, key-file: DIR/other.key",
            "key-file: DIR/other.key holds the key of another certificate than DIR/tls.crt; name",
        ),
        (
            "cert-file: DIR/tls.crt, key-file: DIR/tls.key, client-auth: require",
            "client-auth: require needs client-ca-file; set",
        ),
        (
            "cert-file: DIR/tls.crt, key-file: DIR/tls.key, client-ca-file: DIR/ca.crt, client-auth: none",
            "client-auth: none does not use client-ca-file; remove",
        ),
    ] {
        for section in ["listen-tls", "admin-tls"] {
            let faults = listener(&files, section, tls).faults();
            let faults = faults.replace(&files.dir(), "DIR");
            let fault = format!("pyrotee.yaml:1: {section}.{fault}");
            assert!(faults.contains(&fault), "{faults}");
        }
    }
}

#[test]
fn the_text_of_a_key_in_the_place_of_its_path_is_not_shown() {
    let files = Pem::new();
    let key = Pair::new((2020, 2100)).key;
    let case = yaml("").env("PYROTEE__LISTEN_TLS__KEY_FILE", &key);
    let faults = case.env(
        "PYROTEE__LISTEN_TLS__CERT_FILE",
        &files.expanded("DIR/tls.crt"),
    );
    let faults = faults.faults();
    assert!(
        faults.contains("environment PYROTEE__LISTEN_TLS__KEY_FILE: listen-tls.key-file: holds the text of a PEM file"),
        "{faults}"
    );
    assert!(!faults.contains("MI"), "{faults}");
}

#[test]
fn certificates_that_end_and_verification_that_is_off_are_warned_of() {
    let files = Pem::new();
    let warnings = |tls: &str| outgoing(&files, tls).config().warnings();
    assert_eq!(warnings("ca-file: DIR/ca.crt"), [""; 0]);
    files.put(&Pair::new((2020, 2021)));
    let expired = warnings(&format!("ca-file: DIR/ca.crt, {PAIR}"));
    let start = "remote-write.targets.bar.tls";
    assert_eq!(
        expired
            .iter()
            .map(|text| text.replace(&files.dir(), "DIR"))
            .collect::<Vec<_>>(),
        [
            format!(
                "{start}.ca-file: certificate 1 in `DIR/ca.crt` expired on 2021-01-01T00:00:00Z; renew it"
            ),
            format!(
                "{start}.cert-file: certificate 1 in `DIR/tls.crt` expired on 2021-01-01T00:00:00Z; renew it"
            ),
        ]
    );
    files.put(&Pair::new((2090, 2100)));
    let early = listener(&files, "admin-tls", PAIR).config().warnings();
    assert!(
        early[0].starts_with("admin-tls.cert-file: certificate 1 in"),
        "{early:?}"
    );
    assert!(
        early[0]
            .ends_with("is not valid before 2090-01-01T00:00:00Z; check the clock of this machine")
    );
    let skips = warnings("insecure-skip-verify: true");
    assert!(
        skips[0].starts_with("remote-write.targets.bar.tls.insecure-skip-verify: any certificate")
    );
}

#[test]
fn a_changed_content_is_a_change_of_its_key() {
    let files = Pem::new();
    let load = || {
        let mut case = outgoing(&files, &format!("ca-file: DIR/ca.crt, {PAIR}"));
        case.yaml
            .push_str(&files.expanded(&format!("listen-tls: {{ {PAIR} }}\n")));
        case.config()
    };
    let old = load();
    assert!(old.difference(&load()).is_empty());
    files.put(&Pair::new((2020, 2100)));
    let new = load();
    let keys: Vec<_> = old.difference(&new).into_iter().map(|it| it.key).collect();
    let target = "remote-write.targets.bar.tls";
    assert_eq!(
        keys,
        [
            "listen-tls.cert-file".to_owned(),
            "listen-tls.key-file".to_owned(),
            format!("{target}.ca-file"),
            format!("{target}.cert-file"),
            format!("{target}.key-file"),
        ]
    );
    assert!(!keys.iter().any(|key| needs_restart(key)));
    assert!(old.remote_write.targets != new.remote_write.targets);
    assert_eq!(old.hash(), new.hash());
}

#[test]
fn tls_of_a_listener_is_turned_on_and_off_by_a_restart() {
    let files = Pem::new();
    for section in ["listen-tls", "admin-tls"] {
        let (off, on) = (yaml("").config(), listener(&files, section, PAIR).config());
        for (old, new, kind) in [(&off, &on, "added"), (&on, &off, "removed")] {
            let changes = old.difference(new);
            assert_eq!(changes.len(), 1, "{changes:?}");
            assert_eq!(
                (changes[0].key.as_str(), changes[0].kind.as_str()),
                (section, kind)
            );
            assert!(needs_restart(&changes[0].key));
        }
    }
}
