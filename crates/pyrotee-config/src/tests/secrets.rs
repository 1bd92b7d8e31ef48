//! Tests that no fault shows a secret, whether the fault is in the secret or beside it.

use super::{Case, yaml};
use crate::Sources;

/// Part of every secret below.
const MARK: &str = "s3cr3t";

const WHOLE: &str = r#"
remote-write:
  enabled: true
  targets:
    token:
      address: http://bar:4040
      auth-token: s3cr3t-token
      headers: { X-Key: s3cr3t-header }
    basic:
      address: http://baz:4040
      basic-auth-user: s3cr3t-user
      basic-auth-password: ${WORD}
    url:
      address: http://s3cr3t-user:s3cr3t-word@foo:4040/x
"#;

fn whole(from: &str, to: &str) -> Case {
    let text = WHOLE.replacen(from, to, 1);
    assert_ne!(text, WHOLE, "{from}");
    yaml(&text).env("WORD", "s3cr3t-variable")
}

#[track_caller]
fn keeps_secret(case: Case) {
    let shown = match case.load() {
        Ok(config) => panic!("no fault: {config:?}"),
        Err(faults) => format!(
            "{faults} {faults:?} {:?}",
            faults.iter().collect::<Vec<_>>()
        ),
    };
    assert!(!shown.contains(MARK), "{shown}");
}

#[test]
fn settings_show_no_secret() {
    let config = whole("enabled: true", "enabled: true ").config();
    let shown = format!(
        "{config:?} {config:#?} {} {:?}",
        config.to_yaml(),
        config.warnings()
    );
    assert!(!shown.contains(MARK), "{shown}");
    assert_eq!(config.to_yaml().matches("<redacted>").count(), 6);
    assert_eq!(config.warnings().len(), 4);
}

#[test]
fn sources_show_no_secret() {
    let env = vec![("TOKEN".to_owned(), MARK.to_owned())];
    let mut sources = Sources {
        env,
        ..Sources::default()
    };
    sources.flags.upstream = Some(format!("http://u:{MARK}@h"));
    assert!(!format!("{sources:?} {:?}", sources.flags).contains(MARK));
}

#[test]
fn faulty_secrets_are_not_shown() {
    for (from, to) in [
        // the value itself is what is wrong
        ("auth-token: s3cr3t-token", "auth-token: \"s3cr3t token\""),
        ("auth-token: s3cr3t-token", "auth-token: Bearer s3cr3t"),
        ("auth-token: s3cr3t-token", "auth-token: |\n        s3cr3t"),
        ("auth-token: s3cr3t-token", "auth-token: [s3cr3t]"),
        ("auth-token: s3cr3t-token", "auth-token: { s3cr3t: s3cr3t }"),
        ("auth-token: s3cr3t-token", "auth-token: \"${UNSET}s3cr3t\""),
        (
            "auth-token: s3cr3t-token",
            "auth-token: \"${UNSET-s3cr3t}\"",
        ),
        (
            "auth-token: s3cr3t-token",
            "auth-token: \"${A:-${s3cr3t}}\"",
        ),
        ("auth-token: s3cr3t-token", "auth-token: \"s3cr3t${s3cr3t\""),
        ("auth-token: s3cr3t-token", "auth-token: !s3cr3t s3cr3t"),
        ("auth-token: s3cr3t-token", "auth-token: @s3cr3t"),
        ("auth-token: s3cr3t-token", "auth-token: \"s3cr3t"),
        ("auth-token: s3cr3t-token", "auth-token: s3cr3t: s3cr3t"),
        ("auth-token: s3cr3t-token", "auth-token: *s3cr3t"),
        ("s3cr3t-header", "\"s3cr3t\\nx\""),
        ("{ X-Key: s3cr3t-header }", "s3cr3t"),
        ("{ X-Key: s3cr3t-header }", "[s3cr3t]"),
        ("s3cr3t-header", "[s3cr3t]"),
        (
            "basic-auth-user: s3cr3t-user",
            "basic-auth-user: \"s3cr3t:x\"",
        ),
        (
            "basic-auth-user: s3cr3t-user",
            "basic-auth-user: \"s3cr3t\\n\"",
        ),
        ("${WORD}", "\"${WORD}\\n\""),
        ("${WORD}", "\"${WORDS}s3cr3t\""),
        // credentials in an address that is wrong
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "s3cr3t-user:s3cr3t-word@foo:4040",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "ftp://s3cr3t:s3cr3t@foo",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "http://s3cr3t@foo",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "http://:s3cr3t@foo",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "http://s3cr3t:1/s3cr3t@foo",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "http://s3cr3t:%s3cr3t@foo",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "http://s3cr3t:s3cr3t@foo:x",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "http://s3cr3t:s3cr3t@",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "http://foo/?token=s3cr3t",
        ),
        (
            "http://s3cr3t-user:s3cr3t-word@foo:4040/x",
            "\"http://foo/#s3cr3t\"",
        ),
        ("foo:4040/x", "localhost:4040"),
        // keys that are values by a slip
        ("auth-token: s3cr3t-token", "auth-token:s3cr3t: x"),
        ("auth-token: s3cr3t-token", "\"auth-token=s3cr3t\": x"),
        ("X-Key: s3cr3t-header", "\"X-Key: s3cr3t-header\": x"),
        ("    url:\n", "    \"http://s3cr3t:s3cr3t@foo\":\n"),
        // a secret under a key that is not secret
        ("auth-token: s3cr3t-token", "tenant-id: \"s3cr3t/token\""),
        ("auth-token: s3cr3t-token", "tags: { token: \"s3cr3t,}\" }"),
        ("auth-token: s3cr3t-token", "timeout: ${WORD}"),
        (
            "auth-token: s3cr3t-token",
            "on-full: http://s3cr3t:s3cr3t@h",
        ),
    ] {
        keeps_secret(whole(from, to));
    }
}

#[test]
fn faults_beside_secrets_do_not_show_them() {
    for (from, to) in [
        ("auth-token:", "auth_token:"),
        ("auth-token:", "auth-tokn:"),
        ("auth-token:", "timeout: 5\n      auth-token:"),
        ("auth-token:", "auth-token: x\n      auth-token:"),
        ("auth-token:", "basic-auth-user: x\n      auth-token:"),
        ("X-Key:", "Host:"),
        ("X-Key:", "Authorization:"),
        (
            "X-Key: s3cr3t-header",
            "X-Key: s3cr3t-header, x-key: s3cr3t",
        ),
        ("      basic-auth-user: s3cr3t-user\n", ""),
        ("      basic-auth-password: ${WORD}\n", ""),
        ("    url:\n", "    url:\n      auth-token: s3cr3t\n"),
        (
            "    url:\n",
            "    url:\n      basic-auth-user: s3cr3t\n      basic-auth-password: s3cr3t\n",
        ),
        ("    url:\n", "    basic:\n"),
        ("    url:\n", "    \"u r l\":\n"),
        ("      address: http://bar:4040\n", ""),
    ] {
        keeps_secret(whole(from, to));
    }
}

#[test]
fn variables_and_flags_with_secrets_are_not_shown() {
    let target = "PYROTEE__REMOTE_WRITE__TARGETS__A";
    for (name, value) in [
        ("AUTH_TOKEN", "s3cr3t x"),
        ("HEADERS__X", "s3cr3t\n"),
        ("ADDRESS", "s3cr3t@h"),
        ("ADDRESS", "http://s3cr3t:s3cr3t@h?x"),
        ("BASIC_AUTH_PASSWORD", "s3cr3t"),
        ("TOKEN", "s3cr3t"),
        ("HEADERS", "s3cr3t"),
        ("AUTH_TOKEN__X", "s3cr3t"),
    ] {
        keeps_secret(yaml("").env(&format!("{target}__{name}"), value));
    }
    let mut case = yaml("");
    case.flags.upstream = Some("http://s3cr3t:s3cr3t@h".to_owned());
    keeps_secret(case);
}

#[test]
fn the_token_of_the_admin_listener_is_a_secret_too() {
    let config = yaml(&format!("admin-token: {MARK}\n")).config();
    assert!(config.admin_token.is_some());
    assert!(!format!("{config:?} {}", config.to_yaml()).contains(MARK));
    assert!(config.to_yaml().contains("admin-token: \"<redacted>\"\n"));
    keeps_secret(yaml(&format!("admin-token: Bearer {MARK}\n")));
    keeps_secret(yaml(&format!("admin-token: \"{MARK} {MARK}\"\n")));
}
