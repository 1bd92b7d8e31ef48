//! The keys of a target.

use secrecy::ExposeSecret;

use super::{target, yaml};
use crate::{Credentials, OnFull};

#[track_caller]
fn fault(lines: &str, line: usize, fault: &str) {
    target(lines).fault_is(&format!(
        "pyrotee.yaml:{line}: remote-write.targets.bar.{fault}"
    ));
}

#[test]
fn all_keys_are_taken() {
    let config = target(
        "      basic-auth-user: me\n      basic-auth-password: word\n      tenant-id: team-1\n      \
         headers: { X-B: b, X-A: a }\n      timeout: 300ms\n      queue-size: 5\n      \
         queue-bytes: 5M\n      queue-workers: 3\n      on-full: drop-oldest\n",
    )
    .config();
    let target = &config.remote_write.targets[0];
    let Some(Credentials::Basic { user, password }) = &target.credentials else {
        panic!("{target:?}");
    };
    assert_eq!(
        (user.expose_secret(), password.expose_secret()),
        ("me", "word")
    );
    assert_eq!(target.tenant.as_deref(), Some("team-1"));
    let headers: Vec<_> = target
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect();
    assert_eq!(headers, [("x-b", "b"), ("x-a", "a")]);
    assert_eq!(target.timeout.as_millis(), 300);
    assert_eq!(
        (target.queue_size, target.queue_bytes, target.queue_workers),
        (5, 5_000_000, 3)
    );
    assert_eq!(target.on_full, OnFull::DropOldest);
}

#[test]
fn zero_means_the_default_as_it_did_in_0_37() {
    let config = target("      timeout: 0\n      queue-size: 0\n      queue-workers: 0\n").config();
    let target = &config.remote_write.targets[0];
    assert_eq!(
        (
            target.timeout.as_secs(),
            target.queue_size,
            target.queue_workers
        ),
        (10, 100, 64)
    );
}

#[test]
fn a_user_in_the_address_is_basic() {
    let config =
        yaml("remote-write: { targets: { a: { address: \"http://me:w%3Ard@localhost\" } } }")
            .config();
    let target = &config.remote_write.targets[0];
    assert_eq!(target.address.to_string(), "http://localhost");
    assert!(
        matches!(&target.credentials, Some(Credentials::Basic { user, password })
            if user.expose_secret() == "me" && password.expose_secret() == "w:rd")
    );
}

#[test]
fn two_kinds_of_credentials_are_refused() {
    fault(
        "      auth-token: t\n      basic-auth-user: u\n      basic-auth-password: p\n",
        6,
        "auth-token: stands beside basic-auth-user or basic-auth-password; keep one of the two",
    );
    for (key, also) in [
        ("auth-token", ""),
        ("basic-auth-user", ", basic-auth-password: p"),
    ] {
        yaml(&format!(
            "remote-write: {{ targets: {{ a: {{ address: \"http://u:p@h\", {key}: t{also} }} }} }}"
        ))
        .fault_is(&format!(
            "pyrotee.yaml:1: remote-write.targets.a.{key}: stands beside a user in the \
                 address; keep one of the two"
        ));
    }
}

#[test]
fn half_of_basic_is_refused() {
    fault(
        "      basic-auth-user: u\n",
        6,
        "basic-auth-user: stands without basic-auth-password; write both or neither",
    );
    fault(
        "      basic-auth-password: p\n",
        6,
        "basic-auth-password: stands without basic-auth-user; write both or neither",
    );
    for (userinfo, problem) in [
        ("u", "a user without password"),
        (":p", "a password without user"),
    ] {
        yaml(&format!(
            "remote-write: {{ targets: {{ a: {{ address: \"http://{userinfo}@h\" }} }} }}"
        ))
        .fault_is(&format!(
            "pyrotee.yaml:1: remote-write.targets.a.address: has {problem}; \
                 write http://USER:PASSWORD@HOST"
        ));
    }
}

#[test]
fn credentials_that_no_header_can_carry_are_refused() {
    fault(
        "      auth-token: |\n        word\n",
        6,
        "auth-token: has white space, a line break or a character beyond ASCII; write the token \
         alone",
    );
    fault(
        "      auth-token: Bearer word\n",
        6,
        "auth-token: begins with `Bearer`, which is added anyway; write the token alone",
    );
    fault(
        "      basic-auth-user: \"a:b\"\n      basic-auth-password: p\n",
        6,
        "basic-auth-user: has a `:`, which Basic authentication has no room for; write another",
    );
    fault(
        "      basic-auth-user: a\n      basic-auth-password: \"p\\n\"\n",
        7,
        "basic-auth-password: has a line break or another control character; remove it",
    );
}

#[test]
fn an_empty_token_is_none_as_in_0_37_and_warned_of() {
    let config = target("      auth-token: \"${TOKEN}\"\n")
        .env("TOKEN", "")
        .config();
    assert!(config.remote_write.targets[0].credentials.is_none());
    assert_eq!(
        config.warnings(),
        ["remote-write.targets.bar.auth-token: is empty, so it counts as not given"]
    );
    assert_eq!(target("      auth-token:\n").config().warnings(), [""; 0]);
}

#[test]
fn credentials_over_plain_http_are_warned_of_unless_they_stay_here() {
    for (address, warned) in [
        ("http://bar", true),
        ("https://bar", false),
        ("http://localhost:1", false),
        ("http://127.0.0.9:1", false),
    ] {
        for key in ["auth-token: t", "headers: { Authorization: t }"] {
            let text = format!(
                "remote-write: {{ enabled: true, targets: {{ a: {{ address: {address}, {key} }} }} }}"
            );
            let warnings = yaml(&text).config().warnings();
            assert_eq!(
                warnings.len(),
                usize::from(warned),
                "{address} {warnings:?}"
            );
        }
    }
}

#[test]
fn tags_that_no_profile_can_carry_are_refused() {
    for (tag, problem) in [
        (
            "a: \"x,y\"",
            "a: ',' cannot be sent in a value, Pyroscope has no way to escape it; leave it out",
        ),
        (
            "a: \"x}\"",
            "a: '}' cannot be sent in a value, Pyroscope has no way to escape it; leave it out",
        ),
        (
            "__name__: x",
            "__name__: the key is reserved by Pyroscope; choose another one",
        ),
        (
            "pyroscope_spy: x",
            "pyroscope_spy: the key is reserved by Pyroscope; choose another one",
        ),
        (
            "a.b: x",
            "a.b: a Pyroscope before 1.0 refuses a dot in a key; use '_', or set `tag-keys` to `utf8` \
             if the target accepts dots",
        ),
        (
            "a-b: x, a_b: y",
            "a_b: is sent under the same key as `a-b`; keep one of the two",
        ),
    ] {
        fault(
            &format!("      tags: {{ {tag} }}\n"),
            6,
            &format!("tags.{problem}"),
        );
    }
}

#[test]
fn headers_that_are_not_the_users_are_refused() {
    for name in [
        "Host",
        "Content-Type",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Pyrotee-Hops",
    ] {
        fault(
            &format!("      headers: {{ {name}: x }}\n"),
            6,
            &format!("headers.{name}: is a header that pyrotee sets or removes itself; remove it"),
        );
    }
}

#[test]
fn headers_beside_the_key_that_sets_them_are_refused() {
    let headers = "      headers: { authorization: x }\n";
    for (more, beside) in [
        ("      auth-token: t\n", "auth-token or basic-auth-user"),
        (
            "      basic-auth-user: u\n      basic-auth-password: p\n",
            "auth-token or basic-auth-user",
        ),
    ] {
        fault(
            &format!("{headers}{more}"),
            6,
            &format!("headers.authorization: stands beside {beside}; keep one of the two"),
        );
    }
    fault(
        "      headers: { X-Scope-OrgID: x }\n      tenant-id: t\n",
        6,
        "headers.X-Scope-OrgID: stands beside tenant-id; keep one of the two",
    );
    yaml("remote-write: { targets: { a: { address: \"http://u:p@h\", headers: { Authorization: x } } } }")
        .fault_is(
            "pyrotee.yaml:1: remote-write.targets.a.headers.Authorization: stands beside a user in \
             the address; keep one of the two",
        );
    let alone = target("      headers: { Authorization: x, X-Scope-OrgID: y }\n").config();
    assert_eq!(alone.remote_write.targets[0].headers.len(), 2);
}

#[test]
fn headers_that_cannot_be_sent_are_refused() {
    fault(
        "      headers: { X-A: \"a\\nb\" }\n",
        6,
        "headers.X-A: has a line break or a character that headers do not allow; remove it",
    );
    fault(
        "      headers: { \"X A: b\": c }\n",
        6,
        "headers.X…: is not the name of a header; write it without spaces or `:`",
    );
    fault(
        "      headers: { X-A: a, x-a: b }\n",
        6,
        "headers.x-a: differs from another header only in case; keep one of the two",
    );
}

#[test]
fn counts_have_limits() {
    fault(
        "      queue-size: -1\n",
        6,
        "queue-size: `-1` is negative; write a whole number",
    );
    fault(
        "      queue-bytes: -1\n",
        6,
        "queue-bytes: `-1` is negative; write a size such as 64MiB",
    );
    fault(
        "      queue-workers: 1.5\n",
        6,
        "queue-workers: `1.5` is not a whole number; write digits only",
    );
    fault(
        "      queue-workers: 10001\n",
        6,
        "queue-workers: `10001` is more than 10000; write less",
    );
    fault(
        "      queue-size: 99999999999999999999999\n",
        6,
        "queue-size: `99999999999999999999999` is more than 10000000; write less",
    );
}

#[test]
fn tenants_and_names_have_an_alphabet() {
    let text = "tenant-id: has more than 150 characters, or others than letters, digits and \
                `!-_.*'()`; write the id alone";
    fault("      tenant-id: \"a|b\"\n", 6, text);
    fault(&format!("      tenant-id: {}\n", "x".repeat(151)), 6, text);
    for name in ["a b", "a/b", "ä", "''", &"x".repeat(64)] {
        let faults = yaml(&format!(
            "remote-write: {{ targets: {{ {name}: {{ address: http://a }} }} }}"
        ))
        .faults();
        assert!(
            faults.contains("a target's name has 1 to 63 letters"),
            "{name}: {faults}"
        );
    }
}

#[test]
fn a_missing_address_is_told_where_the_target_is() {
    yaml("remote-write:\n  targets:\n    a:\n    b: { timeout: 1s }\n")
        .env("X", "y")
        .faults();
    let faults = yaml("remote-write:\n  targets:\n    a:\n    b: { timeout: 1s }\n").faults();
    assert!(
        faults.contains("pyrotee.yaml:3: remote-write.targets.a.address: is missing"),
        "{faults}"
    );
    assert!(
        faults.contains("pyrotee.yaml:4: remote-write.targets.b.address: is missing"),
        "{faults}"
    );
}
