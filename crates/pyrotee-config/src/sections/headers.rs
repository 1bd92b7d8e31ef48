//! Headers of every upload to a target, or of every scraped profile. Their values count as secrets, because most of them are tokens of
//! gateways.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};
use pyrotee_net::HOPS;
use secrecy::SecretString;

use crate::reader::Scope;

/// Headers that pyrotee sets or removes itself, beside [`HOPS`], or that belong to one connection (RFC 9110 §7.6.1).
const RESERVED: [&str; 14] = [
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Longest `tenant-id`, in bytes: the limit of Pyroscope (dskit `tenant`).
const MAX_TENANT: usize = 150;

/// The headers of a target, in the order of the file.
pub(super) fn headers(target: &Scope<'_>) -> Option<Vec<(HeaderName, SecretString)>> {
    if target.is_faulty("headers") {
        return None;
    }
    let scope = target.scope("headers");
    let mut seen = HashSet::new();
    let read = scope.keys().into_iter().map(|key| {
        let name = name(&scope, key, target);
        let value = value(&scope, key);
        let name = name?;
        if !seen.insert(name.clone()) {
            scope.fault(
                key,
                "differs from another header only in case; keep one of the two",
            );
            return None;
        }
        Some((name, value?))
    });
    // Collected first, because a stop at the first fault would hide the later ones.
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

fn name(scope: &Scope<'_>, key: &str, target: &Scope<'_>) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(key.as_bytes()) else {
        scope.fault(
            key,
            "is not the name of a header; write it without spaces or `:`",
        );
        return None;
    };
    let given =
        |key: &str| target.is_faulty(key) || target.text(key).is_some_and(|t| !t.is_empty());
    let lower = name.as_str();
    if RESERVED.contains(&lower) || lower.starts_with("content-") || name == HOPS {
        scope.fault(
            key,
            "is a header that pyrotee sets or removes itself; remove it",
        );
    } else if lower == "authorization" && ["auth-token", "basic-auth-user"].into_iter().any(given) {
        scope.fault(
            key,
            "stands beside auth-token or basic-auth-user; keep one of the two",
        );
    } else if lower == "authorization" && has_userinfo(target) {
        scope.fault(
            key,
            "stands beside a user in the address; keep one of the two",
        );
    } else if lower == "x-scope-orgid" && given("tenant-id") {
        scope.fault(key, "stands beside tenant-id; keep one of the two");
    } else {
        return Some(name);
    }
    None
}

/// Whether the address has a user. An address that is not valid counts too, so that both faults are reported at once.
fn has_userinfo(target: &Scope<'_>) -> bool {
    target
        .text("address")
        .is_some_and(|text| text.contains('@'))
}

fn value(scope: &Scope<'_>, key: &str) -> Option<SecretString> {
    let text = scope.text(key)?;
    if HeaderValue::from_str(text).is_err() {
        let text = "has a line break or a character that headers do not allow; remove it";
        scope.fault(key, text);
        return None;
    }
    scope.warn_of_variables(key);
    Some(SecretString::from(text))
}

/// The key `tenant-id`; the inner `None` if it is not given.
pub(super) fn tenant(scope: &Scope<'_>) -> Option<Option<String>> {
    let Some(text) = scope.text("tenant-id").filter(|text| !text.is_empty()) else {
        return (!scope.is_faulty("tenant-id")).then_some(None);
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!-_.*'()".contains(&b);
    if text.len() > MAX_TENANT || !text.bytes().all(allowed) {
        // The value is not shown, because it may be a token under the wrong key.
        let text = "has more than 150 characters, or others than letters, digits and `!-_.*'()`; \
                    write the id alone";
        scope.fault("tenant-id", text);
        return None;
    }
    Some(Some(text.to_owned()))
}
