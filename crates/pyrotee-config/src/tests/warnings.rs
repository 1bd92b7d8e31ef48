//! Warnings of secrets that a reload cannot change.

use super::{target, yaml};

fn warnings(lines: &str) -> Vec<String> {
    let case = target(lines).env("V", "x").env("W", "y").env("EMPTY", "");
    let found = case.config().warnings().into_iter();
    found.filter(|text| text.contains("reload")).collect()
}

#[test]
fn each_secret_from_a_variable_is_warned_of_once() {
    for (lines, keys) in [
        ("auth-token: ${V}", &["auth-token"][..]),
        ("auth-token: \"a-${V}-${V}\"", &["auth-token"]),
        ("auth-token: \"${V:-a}\"", &["auth-token"]),
        ("headers: { X-A: \"${V}\", X-B: b }", &["headers.X-A"]),
        (
            "basic-auth-user: ${V}\n      basic-auth-password: ${V}",
            &["basic-auth-user", "basic-auth-password"],
        ),
    ] {
        let expected: Vec<_> = keys
            .iter()
            .map(|key| {
                format!(
                    "remote-write.targets.bar.{key}: comes from the variable `V`, which does not change by reload; use \
                     ${{file:PATH}} for a secret that is rotated"
                )
            })
            .collect();
        assert_eq!(warnings(&format!("      {lines}\n")), expected, "{lines}");
    }
    let admin = yaml("admin-token: ${V}\n").env("V", "x").config();
    assert!(admin.warnings()[0].starts_with("admin-token: comes from the variable `V`"));
}

#[test]
fn a_password_in_an_address_is_a_secret_and_its_host_is_not() {
    let of = |address: &str| {
        let text = format!("remote-write: {{ targets: {{ a: {{ address: \"{address}\" }} }} }}\n");
        let case = yaml(&text).env("V", "x").env("W", "y");
        let found = case.config().warnings().into_iter();
        found
            .filter(|text| text.contains("reload"))
            .collect::<Vec<_>>()
    };
    let warned = of("https://me:${W}@${V}");
    assert_eq!(warned.len(), 1);
    assert!(warned[0].starts_with("remote-write.targets.a.address: comes from the variable `W`"));
    assert_eq!(of("https://me:word@${V}"), [""; 0]);
    assert_eq!(of("https://${V}"), [""; 0]);
}

#[test]
fn what_is_no_secret_or_does_not_come_from_a_variable_of_the_file_is_not_warned_of() {
    for lines in [
        "tags: { pod: \"${V}\" }",
        "tenant-id: ${V}",
        "timeout: \"${NONE:-1s}\"",
        "auth-token: \"${NONE:-a}\"",
        "auth-token: \"${EMPTY:-a}\"",
        "auth-token: ${EMPTY}",
        "auth-token: a$${V}",
        "auth-token: $V",
    ] {
        assert_eq!(warnings(&format!("      {lines}\n")), [""; 0], "{lines}");
    }
    let by_environment = target("      auth-token: ${V}\n")
        .env("V", "x")
        .env("PYROTEE__REMOTE_WRITE__TARGETS__BAR__AUTH_TOKEN", "t");
    let warned = by_environment.config().warnings();
    assert!(
        !warned.iter().any(|text| text.contains("reload")),
        "{warned:?}"
    );
}
