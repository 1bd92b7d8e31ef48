//! The keys of the shared backlog.

use std::{fs, path::Path, time::Duration};

use secrecy::ExposeSecret;

use super::{Case, loader::Place, pem::Pem, target, yaml};
use crate::{Shared, SharedAuth, SharedPolicy, needs_restart};

/// A file of credentials as `nsc` writes it, with other content.
pub(super) const CREDS: &str = "-----BEGIN NATS USER JWT-----\ne30\n------END NATS USER JWT------\n\n\
    -----BEGIN USER NKEY SEED-----\nSUA\n------END USER NKEY SEED------\n";

fn case(lines: &str) -> Case {
    yaml(&format!("shared:\n{lines}"))
}

/// The settings of these lines, which a rendered configuration has as well.
#[track_caller]
fn shared(lines: &str) -> Shared {
    let config = case(lines).config();
    let written = config.to_yaml();
    if !written.contains("<redacted>") {
        assert_eq!(yaml(&written).config().to_yaml(), written);
    }
    config.shared.unwrap()
}

/// Host, port, TLS and text of each server.
fn servers(shared: &Shared) -> Vec<(&str, u16, bool, &str)> {
    let servers = shared.servers.iter();
    servers
        .map(|it| (it.host.as_str(), it.port, it.tls, it.text.as_str()))
        .collect()
}

fn warnings(case: Case) -> Vec<String> {
    let found = case.config().warnings().into_iter();
    found.filter(|text| text.contains("shared")).collect()
}

#[test]
fn there_is_none_unless_a_key_is_set() {
    assert!(target("").config().shared.is_none());
    for empty in [
        "shared:\n",
        "shared: {}\n",
        "shared: { auth: {}, tls: {} }\n",
    ] {
        assert!(yaml(empty).config().shared.is_none(), "{empty}");
    }
    for lines in [
        "  prefix: a\n",
        "  servers: []\n  after: 5s\n",
        "  servers: ''\n",
        "  auth: { token: t }\n",
    ] {
        let faults = case(lines).faults();
        let text = "shared.servers: are missing; write the addresses of NATS servers, such as [\"nats://HOST:4222\"]";
        assert!(faults.contains(text), "{faults}");
    }
}

#[test]
fn its_defaults_are_for_a_cluster_of_three() {
    let shared = shared("  servers: [nats]\n");
    assert_eq!(
        servers(&shared),
        [("nats", 4222, false, "nats://nats:4222")]
    );
    assert!(matches!(shared.auth, SharedAuth::None));
    assert!(shared.tls.is_none());
    assert_eq!(shared.prefix, "pyrotee");
    assert_eq!(shared.after, Duration::from_secs(10));
    assert_eq!(shared.policy, SharedPolicy::Manage);
    assert_eq!((shared.replicas, shared.max_bytes), (3, 1 << 30));
    assert_eq!(shared.drain_spool, None);
}

#[test]
fn servers_are_a_list_or_a_text_with_commas() {
    let expected = [
        ("a", 4222, false, "nats://a:4222"),
        ("::1", 4333, false, "nats://[::1]:4333"),
        ("10.0.0.1", 4222, true, "tls://10.0.0.1:4222"),
    ];
    let listed = shared("  servers:\n    - a\n    - nats://[::1]:4333\n    - TLS://10.0.0.1/\n");
    assert_eq!(servers(&listed), expected);
    assert!(listed.tls.is_some());
    let text = "a, nats://[::1]:4333, tls://10.0.0.1, nats://a:4222";
    assert_eq!(
        servers(&shared(&format!("  servers: \"{text}\"\n"))),
        expected
    );
    let of_variable = yaml("").env("PYROTEE__SHARED__SERVERS", text).config();
    assert_eq!(servers(&of_variable.shared.unwrap()), expected);
    let replaced = case("  servers: [\"${HOSTS}\"]\n").env("HOSTS", text);
    assert_eq!(servers(&replaced.config().shared.unwrap()), expected);
}

#[test]
fn keys_of_tls_turn_tls_on_for_every_server() {
    let plain = shared("  servers: [\"nats://a\", b]\n  tls: { min-version: '1.2' }\n");
    let texts: Vec<_> = servers(&plain).iter().map(|it| (it.2, it.3)).collect();
    assert_eq!(texts, [(true, "tls://a:4222"), (true, "tls://b:4222")]);
    assert!(plain.tls.is_some());
    case("  servers: [a]\n  tls: { ca-file: /none }\n").fault_is(
        "pyrotee.yaml:3: shared.tls.ca-file: the file `/none` cannot be read: No such file or directory (os error 2); \
         see that it is a file of text that may be read",
    );
}

#[test]
fn every_fault_of_a_server_says_what_to_write() {
    for (server, problem) in [
        (
            "ws://a",
            "is an address of WebSocket, which the relay does not speak; write nats://HOST:PORT or tls://HOST:PORT",
        ),
        (
            "http://a",
            "has a scheme that is not supported; write nats://HOST:PORT or tls://HOST:PORT",
        ),
        ("a/b", "has a path; remove everything after the port"),
        ("tls://", "has no host; write tls://HOST:PORT"),
        (
            "a:x",
            "has a port that is not a number from 1 to 65535; write nats://HOST:PORT",
        ),
        (
            "::1",
            "has an IPv6 address without brackets; write nats://[::1]:PORT",
        ),
        (
            "nats://me:s3cr3t@a",
            "has a user, a password or a token; write it under `shared.auth`, and the address without it",
        ),
        (
            "s3cr3t@a",
            "has a user, a password or a token; write it under `shared.auth`, and the address without it",
        ),
    ] {
        case(&format!("  servers: [good, \"{server}\"]\n")).fault_is(&format!(
            "pyrotee.yaml:2: shared.servers: entry 2 {problem}"
        ));
    }
    case("  servers: { a: b }\n")
        .fault_is("pyrotee.yaml:2: shared.servers: takes a list; write `key: [a, b]`");
    case("  servers:\n    - a\n    - [b]\n").fault_is(
        "pyrotee.yaml:4: shared.servers: has an entry that is no text; write `key: [a, b]`",
    );
}

#[test]
fn all_faults_are_found_at_once() {
    let faults = case(
        "  servers: [\"ws://a\"]\n  prefix: a.b\n  mode: always\n  after: 1ms\n  policy: own\n  replicas: 0\n  \
         max-bytes: 1KiB\n  drain-spool: spool\n  auth: { token: a, user: b, key: c }\n  lead: x\nspool: { dir: /s }\n",
    )
    .faults();
    for line in [
        "2: shared.servers: entry 1 is an address of WebSocket, which",
        "3: shared.prefix: `a.b` is no prefix of 1 to 32 letters, digits, `_` or `-`; write one such as pyrotee",
        "4: shared.mode: `always` is not available in this version; write overflow",
        "5: shared.after: `1ms` is not between 1s and 1h; write a duration such as 10s",
        "6: shared.policy: `own` is not known; write one of manage, bind",
        "7: shared.replicas: `0` is no number of replicas; write 1 to 5",
        "8: shared.max-bytes: `1KiB` is too little for a shared backlog; write 1MiB or more",
        "9: shared.drain-spool: `spool` is a relative path, which",
        "10: shared.auth.user: stands beside token; keep one of creds-file, nkey-file, token, and user with password",
        "10: shared.auth.user: stands without password; write both or neither",
        "10: shared.auth.key: unknown key",
        "11: shared.lead: unknown key",
        "12: spool: stands beside `shared`, with which profiles are not queued on disk; remove it, and write its \
         directory under `shared.drain-spool`, from where its profiles are still sent",
        "13 faults in the configuration",
    ] {
        assert!(faults.contains(line), "{line}\n{faults}");
    }
}

#[test]
fn bounds_are_within_what_is_allowed() {
    let widest = shared(
        "  servers: [a]\n  after: 1h\n  replicas: 5\n  max-bytes: 1MiB\n  policy: bind\n  mode: overflow\n  \
         prefix: _abcdefghijklmnopqrstuvwxyz-0123\n  drain-spool: /var/lib/pyrotee/spool\n",
    );
    assert_eq!(widest.after, Duration::from_secs(3600));
    assert_eq!((widest.replicas, widest.max_bytes), (5, 1 << 20));
    assert_eq!(widest.policy, SharedPolicy::Bind);
    assert_eq!(widest.prefix.len(), 32);
    assert_eq!(
        widest.drain_spool.as_deref(),
        Some(Path::new("/var/lib/pyrotee/spool"))
    );
    for (line, fault) in [
        ("after: 3601s", "`3601s` is not between 1s and 1h"),
        ("replicas: 6", "`6` is more than 5; write less"),
        ("replicas: 256", "`256` is more than 5; write less"),
        ("mode: all", "`all` is not known; write one of overflow"),
        ("prefix: ''", "an empty value is no prefix"),
        ("prefix: abcdefghijklmnopqrstuvwxyz-012345", "is no prefix"),
    ] {
        let faults = case(&format!("  servers: [a]\n  {line}\n")).faults();
        assert!(faults.contains(fault), "{faults}");
    }
}

#[test]
fn credentials_are_of_one_kind() {
    let files = Pem::new();
    files.write("nats.creds", CREDS);
    files.write("nats.nk", "SUAEXAMPLE\n");
    let auth = |auth: &str| {
        shared(&format!(
            "  servers: [a]\n  auth: {}\n",
            files.expanded(auth)
        ))
        .auth
    };
    let is_in = |path: &Path, name: &str| path == Path::new(&files.dir()).join(name);
    assert!(
        matches!(auth("{ creds-file: DIR/nats.creds }"), SharedAuth::CredsFile(path) if is_in(&path, "nats.creds"))
    );
    assert!(
        matches!(auth("{ nkey-file: DIR/nats.nk }"), SharedAuth::NkeyFile(path) if is_in(&path, "nats.nk"))
    );
    assert!(
        matches!(auth("{ token: t }"), SharedAuth::Token(token) if token.expose_secret() == "t")
    );
    assert!(matches!(
        auth("{ user: u, password: p }"),
        SharedAuth::User { user, password } if user == "u" && password.expose_secret() == "p"
    ));
    for (auth, fault) in [
        (
            "{ creds-file: DIR/nats.creds, password: p, nkey-file: DIR/nats.nk }",
            "shared.auth.nkey-file: stands beside creds-file; keep one of",
        ),
        (
            "{ password: p }",
            "shared.auth.password: stands without user; write both or neither",
        ),
        (
            "{ token: '' }",
            "shared.auth.token: is empty; write a value, or remove the key",
        ),
        (
            "{ token: \"a\\n\" }",
            "shared.auth.token: has a line break or another control character; remove it",
        ),
        (
            "{ creds-file: DIR/nats.nk }",
            "nats.nk` does not hold a user JWT and its seed; write the path",
        ),
        (
            "{ nkey-file: DIR/tls.crt }",
            "tls.crt` does not hold the seed of a user (`SU…`); write the path",
        ),
        (
            "{ creds-file: DIR/none }",
            "none` cannot be read: No such file",
        ),
        (
            "{ creds-file: none }",
            "shared.auth.creds-file: `none` has no absolute path; write one",
        ),
    ] {
        let auth = files.expanded(auth);
        let faults = case(&format!("  servers: [a]\n  auth: {auth}\n")).faults();
        assert!(faults.contains(fault), "{faults}");
    }
}

#[test]
fn no_credential_is_shown() {
    let seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    for auth in [
        format!("{{ nkey-file: {seed} }}"),
        format!("{{ creds-file: \"-----BEGIN NATS USER JWT-----{seed}\" }}"),
        format!("{{ token: \"{seed}\\u0007\" }}"),
        format!("{{ token: {seed}, user: u, password: {seed} }}"),
    ] {
        let faults = case(&format!("  servers: [a]\n  auth: {auth}\n")).faults();
        assert!(!faults.contains(seed), "{faults}");
    }
    for (auth, hidden) in [
        (format!("{{ token: {seed} }}"), "token: \"<redacted>\""),
        (
            format!("{{ user: u, password: {seed} }}"),
            "password: \"<redacted>\"",
        ),
    ] {
        let config = case(&format!("  servers: [a]\n  auth: {auth}\n")).config();
        let shown = format!("{config:?} {}", config.to_yaml());
        assert!(!shown.contains(seed) && shown.contains(hidden), "{shown}");
    }
}

#[test]
fn a_server_of_another_machine_without_tls_is_warned_of() {
    let warned = warnings(case(
        "  servers: [a, localhost, \"nats://127.0.0.1\", \"[::1]:1\", \"tls://b\", \"10.0.0.1:1\"]\n",
    ));
    assert_eq!(
        warned,
        [
            "shared.servers: profiles and credentials go without TLS to nats://a:4222, nats://10.0.0.1:1; write tls://… \
             if the servers take it"
        ]
    );
    assert_eq!(
        warnings(case("  servers: [localhost, \"tls://b\"]\n")),
        [""; 0]
    );
    let unverified = case("  servers: [a]\n  tls: { insecure-skip-verify: true }\n").config();
    let servers: Vec<_> = unverified
        .unverified_servers()
        .map(|server| server.section())
        .collect();
    assert_eq!(servers, ["shared.tls"]);
    assert_eq!(unverified.warnings().len(), 1);
}

#[test]
fn a_target_may_have_a_stream_of_another_size() {
    let line = "      shared-max-bytes: 2MiB\n";
    let mut with = target(line);
    with.yaml.push_str("shared: { servers: [localhost] }\n");
    let config = with.config();
    assert_eq!(
        config.remote_write.targets[0].shared_max_bytes,
        Some(2 << 20)
    );
    assert!(config.to_yaml().contains("shared-max-bytes: 2MiB\n"));
    assert_eq!(config.warnings(), [""; 0]);
    assert_eq!(
        warnings(target(line)),
        ["remote-write.targets.bar.shared-max-bytes: means nothing without `shared`"]
    );
    target("      shared-max-bytes: 1KiB\n").fault_is(
        "pyrotee.yaml:6: remote-write.targets.bar.shared-max-bytes: `1KiB` is too little for a shared backlog; write \
         1MiB or more",
    );
}

#[test]
fn it_changes_with_a_restart() {
    let old = case("  servers: [a]\n  auth: { token: t }\n").config();
    let new = case("  servers: [b]\n  auth: { token: u }\n").config();
    let changes = old.difference(&new);
    let keys: Vec<_> = changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["shared.servers", "shared.auth.token"]);
    assert!(keys.into_iter().all(needs_restart));
    assert!(!needs_restart("remote-write.targets.a.shared-max-bytes"));
}

#[test]
fn a_file_of_credentials_is_watched_and_its_content_changes_no_key() {
    let place = Place::new("shared: { servers: [a], auth: { creds-file: nats.creds } }\n");
    place.write("nats.creds", CREDS);
    let (text, in_force) = place.load();
    let path = place.path("nats.creds");
    let auth = &in_force.config.shared.as_ref().unwrap().auth;
    assert!(matches!(auth, SharedAuth::CredsFile(of) if *of == path));
    place.write("nats.creds", CREDS.replace("e30", "e31"));
    let look = in_force.files.reread();
    assert!(look.changed);
    let rotated = place
        .loader
        .rotate(&text, &in_force.files, &look.contents)
        .loaded
        .unwrap();
    assert_eq!(in_force.config.difference(&rotated.config), []);
    fs::remove_file(&path).unwrap();
    assert_eq!(rotated.files.reread().stale[0].path, path);
}
