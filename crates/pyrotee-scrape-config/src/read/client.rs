//! How a server is asked: authentication, TLS, redirects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use pyrotee_tls::{ClientTls, ClientTlsSettings, IdentityPem, PemFile};
use pyrotee_yaml::{values, with_semicolon};
use secrecy::{ExposeSecret, SecretString};

use super::{keys, section::Section};
use crate::HttpClientSettings;

/// Keys of 0.37 beside those of an HTTP client that pyrotee does not have, and the way out.
pub(super) const REFUSED: [(&str, &str); 2] = [
    (
        "oauth2",
        "is not supported in this version; use basic-auth or a bearer-token-file that another program keeps fresh",
    ),
    (
        "proxy-url",
        "is not supported in this version; let the relay reach the addresses directly",
    ),
];

/// The settings in a job or an entry of `http-sd-configs`.
pub(super) fn settings(section: &Section<'_>) -> HttpClientSettings {
    let redirects = section.parse("follow-redirects", values::boolean);
    HttpClientSettings {
        authorization: authorization(section),
        tls: tls(section),
        follow_redirects: redirects.unwrap_or(true),
    }
}

/// The value of the header `Authorization`. Only one way of authentication may be given.
fn authorization(section: &Section<'_>) -> Option<HeaderValue> {
    let ways = [
        "basic-auth",
        "authorization",
        "bearer-token",
        "bearer-token-file",
    ];
    let mut given = ways.into_iter().filter(|way| section.has(way));
    let first = given.next()?;
    if let Some(second) = given.next() {
        section.fault(
            second,
            &format!("stands beside {first}; keep one of the two"),
        );
        return None;
    }
    match first {
        "basic-auth" => basic(&section.section(first)?),
        "authorization" => typed(&section.section(first)?),
        _ => {
            let token = section.secret("bearer-token", "bearer-token-file")??;
            header(section, first, "Bearer", &token)
        }
    }
}

fn basic(section: &Section<'_>) -> Option<HeaderValue> {
    section.check_keys(&[keys::BASIC_AUTH], &[]);
    let user = section
        .scalar("username")
        .map(|it| it.text)
        .unwrap_or_default();
    // 0.37 allows a user without a password.
    let password = section
        .secret("password", "password-file")?
        .unwrap_or_default();
    let password = password.expose_secret();
    if user.contains(':') {
        let text = "has a `:`, which Basic authentication has no room for; write another";
        section.fault("username", text);
        return None;
    }
    for (key, text) in [("username", user.as_str()), ("password", password)] {
        if text.chars().any(char::is_control) {
            section.fault(
                key,
                "has a line break or another control character; remove it",
            );
            return None;
        }
    }
    if user.is_empty() {
        section.fault("username", "is missing; write user and password");
        return None;
    }
    let encoded = SecretString::from(STANDARD.encode(format!("{user}:{password}")));
    header(section, "password", "Basic", &encoded)
}

fn typed(section: &Section<'_>) -> Option<HeaderValue> {
    section.check_keys(&[keys::AUTHORIZATION], &[]);
    let kind = section.text("type").unwrap_or_else(|| "Bearer".to_owned());
    let credentials = section.secret("credentials", "credentials-file");
    if kind.eq_ignore_ascii_case("basic") {
        section.fault(
            "type",
            "is Basic; write basic-auth with username and password instead",
        );
        return None;
    }
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !kind.bytes().all(is_token) {
        section.fault(
            "type",
            "is no type of authorization; write one word such as Bearer",
        );
        return None;
    }
    let Some(credentials) = credentials? else {
        let text =
            "is missing; write the credentials, or credentials-file with the path of their file";
        section.fault("credentials", text);
        return None;
    };
    header(section, "credentials", &kind, &credentials)
}

/// The header of a type of authorization. `key` gets the fault.
fn header(
    section: &Section<'_>,
    key: &str,
    kind: &str,
    credentials: &SecretString,
) -> Option<HeaderValue> {
    let credentials = credentials.expose_secret();
    let begins = |text: &str| {
        let start = text.get(..kind.len() + 1);
        start.is_some_and(|it| it.eq_ignore_ascii_case(&format!("{kind} ")))
    };
    if begins(credentials) {
        let text =
            format!("begins with `{kind}`, which is added anyway; write the credentials alone");
        section.fault(key, &text);
        return None;
    }
    let is_visible = credentials.trim() == credentials && credentials.is_ascii();
    match HeaderValue::from_str(&format!("{kind} {credentials}")) {
        Ok(mut value) if is_visible => {
            value.set_sensitive(true);
            Some(value)
        }
        _ => {
            let text = "has white space at an end, a line break or a character beyond ASCII; write the credentials \
                        alone";
            section.fault(key, text);
            None
        }
    }
}

/// `tls-config`; `None` if it is not given or a fault was added.
fn tls(parent: &Section<'_>) -> Option<ClientTls> {
    let section = &parent.section("tls-config")?;
    section.check_keys(&[keys::TLS], &[]);
    let skip = section.parse("insecure-skip-verify", values::boolean);
    let server_name = section.text("server-name");
    let [ca, cert, key] = files(section, ["ca-file", "cert-file", "key-file"])?;
    let settings = ClientTlsSettings {
        ca,
        identity: cert.zip(key).map(|(cert, key)| IdentityPem { cert, key }),
        server_name,
        insecure_skip_verify: skip.unwrap_or_default(),
        ..ClientTlsSettings::default()
    };
    let roots = match section.sources().system_roots() {
        Ok(roots) => roots,
        Err(text) => {
            section.fault("", &with_semicolon(&text));
            return None;
        }
    };
    match ClientTls::build(&settings, roots) {
        Ok(tls) => Some(tls),
        Err(faults) => {
            for fault in faults {
                section.fault(fault.part.as_str(), &with_semicolon(&fault.text));
            }
            None
        }
    }
}

/// The files of a section, read at one moment; `None` if a fault was added. A text that is no path is not shown, because
/// it may be a private key.
fn files<const N: usize>(section: &Section<'_>, keys: [&str; N]) -> Option<[Option<PemFile>; N]> {
    for (one, other) in [("cert-file", "key-file"), ("key-file", "cert-file")] {
        if section.has(one) && !section.has(other) {
            section.fault(
                one,
                &format!("stands without {other}; write both or neither"),
            );
            return None;
        }
    }
    let paths = keys.map(|key| section.text(key));
    let given: Vec<&str> = paths.iter().flatten().map(String::as_str).collect();
    let read = section.sources().pem_files(&section.path(""), &given);
    let mut read = read.into_iter();
    let mut whole = true;
    let mut found = [const { None }; N];
    for ((key, path), file) in keys.iter().zip(&paths).zip(&mut found) {
        match path.as_ref().and_then(|_| read.next()) {
            None => {}
            Some(Ok(pem)) => *file = Some(pem),
            Some(Err(text)) => {
                section.fault(key, &text);
                whole = false;
            }
        }
    }
    whole.then_some(found)
}
