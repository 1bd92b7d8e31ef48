use super::{faults, job, warnings};

fn authorization(lines: &str) -> Option<String> {
    let value = job(lines).client.authorization?;
    assert!(value.is_sensitive());
    Some(value.to_str().unwrap().to_owned())
}

#[test]
fn one_way_of_authentication_becomes_the_header() {
    for (lines, value) in [
        ("basic-auth: { username: u, password: p }", "Basic dTpw"),
        ("basic-auth: { username: u }", "Basic dTo="),
        (
            "basic-auth: { username: u, password-file: /f }",
            "Basic dTpjb250ZW50LW9mLS9m",
        ),
        ("bearer-token: t", "Bearer t"),
        ("bearer-token-file: /f", "Bearer content-of-/f"),
        ("authorization: { credentials: t }", "Bearer t"),
        (
            "authorization: { type: Token, credentials-file: /f }",
            "Token content-of-/f",
        ),
    ] {
        assert_eq!(authorization(lines).as_deref(), Some(value), "{lines}");
    }
    assert_eq!(authorization("scheme: http"), None);
    for empty in [
        "bearer-token: ''",
        "basic-auth: { username: u, password: '' }",
    ] {
        assert!(warnings(empty)[0].contains("is empty, so it counts as not given"));
    }
}

#[test]
fn faulty_credentials_are_not_shown() {
    for (lines, fault) in [
        (
            "basic-auth: { password: s3cret }",
            "basic-auth.username: is missing",
        ),
        (
            "basic-auth: { username: 'a:b', password: s3cret }",
            "basic-auth.username: has a `:`",
        ),
        (
            "basic-auth: { username: a, password: \"s3cret\\n\" }",
            "basic-auth.password: has a line break",
        ),
        (
            "basic-auth: { username: a, password: s3cret, password-file: /f }",
            "password-file: stands beside password",
        ),
        (
            "basic-auth: { username: a, password-file: /missing }",
            "password-file: the file `/missing` cannot be read",
        ),
        ("bearer-token: \"s3cret \"", "bearer-token: has white space"),
        (
            "bearer-token: Bearer s3cret",
            "bearer-token: begins with `Bearer`",
        ),
        ("bearer-token: [s3cret]", "bearer-token: takes one value"),
        (
            "bearer-token: s3cret\nbearer-token-file: /f",
            "bearer-token-file: stands beside bearer-token",
        ),
        (
            "bearer-token: s3cret\nbasic-auth: { username: s3cret }",
            "bearer-token: stands beside basic-auth",
        ),
        (
            "authorization: { type: basic, credentials: s3cret }",
            "authorization.type: is Basic; write basic-auth",
        ),
        (
            "authorization: { type: 'a b', credentials: s3cret }",
            "authorization.type: is no type",
        ),
        (
            "authorization: { type: Token }",
            "authorization.credentials: is missing",
        ),
        ("bearer-tokens3cret: x", "unknown key"),
    ] {
        let found = faults(lines);
        assert_eq!(found.len(), 1, "{lines}: {found:?}");
        assert!(found[0].contains(fault), "{found:?}");
        assert!(
            !found[0].contains("s3cret") || lines.starts_with("bearer-tokens3cret"),
            "{found:?}"
        );
    }
}

#[test]
fn tls_is_built_of_the_names_of_0_37() {
    let tls = job("tls-config: { server-name: h, insecure-skip-verify: true }")
        .client
        .tls
        .unwrap();
    assert!(tls.skips_verification());
    assert_eq!(tls.settings().unwrap().server_name.as_deref(), Some("h"));
    assert!(job("scheme: https").client.tls.is_none());
    for (lines, fault) in [
        ("tls-config: { ca-file: /ca }", "tls-config.ca-file: /ca "),
        (
            "tls-config: { cert-file: /c }",
            "tls-config.cert-file: stands without key-file",
        ),
        (
            "tls-config: { ca_file: /ca }",
            "tls-config.ca_file: unknown key; did you mean `ca-file`?",
        ),
        (
            "tls-config: { min-version: 1.2 }",
            "tls-config.min-version: unknown key",
        ),
        (
            "tls-config: { server-name: 'a b' }",
            "tls-config.server-name: ",
        ),
    ] {
        let found = faults(lines);
        assert_eq!(found.len(), 1, "{lines}: {found:?}");
        assert!(found[0].contains(fault), "{found:?}");
    }
}
