//! Decides which requests may change state, or read the contents of dead letters, through the admin listener.
//!
//! With a token: every request that shows the token. Requests from loopback need the token too, because a sidecar
//! proxy or a container's port forwarder connects from loopback on behalf of others. Without a token: requests from
//! loopback that no proxy forwarded. Requests of pages in a browser are always refused: a page reaches loopback on
//! behalf of its author.
//!
//! With `admin-tls.client-auth: require`, every request needs a client certificate, too, except health checks: a kubelet
//! has no certificate.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, FORWARDED, ORIGIN, VIA, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;

use crate::response::Failure;

/// A header that only browsers set (Fetch Metadata, W3C).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Headers that proxies add to requests, beside the headers that start with one of [`FORWARDING_PREFIXES`].
const FORWARDING: [HeaderName; 7] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];

const FORWARDING_PREFIXES: [&str; 3] = ["x-forwarded", "x-original-", "x-envoy-"];

/// Checks requests against the `admin-token`, if the configuration sets one, and connections against
/// `admin-tls.client-auth`. Clones share both.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    token: ArcSwapOption<SecretString>,
    /// Every request but those of health checks needs a client certificate.
    needs_certificate: AtomicBool,
}

/// The kind of access that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To change state.
    Change,
    /// To read the contents of a dead letter.
    Read,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A page in a browser sent it.
    Browser,
    /// The request shows no token, or a wrong one.
    Credential,
    /// No token is configured, and the request comes from another machine.
    Elsewhere,
    /// The client shows no certificate.
    Certificate,
    /// No token is configured, and a proxy forwarded the request from loopback.
    Forwarded,
}

impl Guard {
    /// A guard that allows requests that show `token`; without a token, requests of this machine.
    pub fn new(token: Option<SecretString>) -> Self {
        Self(Arc::new(Rules {
            token: ArcSwapOption::from_pointee(token),
            needs_certificate: AtomicBool::new(false),
        }))
    }

    /// Replaces the token, for all clones and for every later request.
    pub fn set(&self, token: Option<SecretString>) {
        self.0.token.store(token.map(Arc::new));
    }

    /// Sets whether a request needs a client certificate, for all clones and for every later request.
    pub fn set_needs_certificate(&self, needed: bool) {
        self.0.needs_certificate.store(needed, Relaxed);
    }

    /// Whether a request of a connection is allowed with or without a client certificate.
    pub(super) fn check_certificate(&self, has_certificate: bool) -> Result<(), Refusal> {
        match has_certificate || !self.0.needs_certificate.load(Relaxed) {
            true => Ok(()),
            false => Err(Refusal::Certificate),
        }
    }

    /// Whether a request from `peer` with these headers is allowed.
    pub(super) fn check(
        &self,
        access: Access,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        if is_of_a_page(access, headers) {
            return Err(Refusal::Browser);
        }
        match &*self.0.token.load() {
            Some(token) => match headers.get(AUTHORIZATION) {
                Some(shown) if is_bearer(shown, token) => Ok(()),
                _ => Err(Refusal::Credential),
            },
            None if !peer.to_canonical().is_loopback() => Err(Refusal::Elsewhere),
            None if headers.keys().any(is_forwarding) => Err(Refusal::Forwarded),
            None => Ok(()),
        }
    }
}

/// Whether a page in a browser sent the request. Requests of a typed address or of a page of the relay itself do not
/// count when they read; when they change state, they do.
fn is_of_a_page(access: Access, headers: &HeaderMap) -> bool {
    let may_read = |site: &HeaderValue| {
        access == Access::Read && [&b"none"[..], b"same-origin"].contains(&site.as_bytes())
    };
    headers.contains_key(ORIGIN) || !headers.get_all(FETCH_SITE).iter().all(may_read)
}

fn is_forwarding(name: &HeaderName) -> bool {
    let mut prefixes = FORWARDING_PREFIXES.iter();
    FORWARDING.contains(name) || prefixes.any(|prefix| name.as_str().starts_with(prefix))
}

/// Compares in constant time; only the length of the token can be measured.
fn is_bearer(shown: &HeaderValue, token: &SecretString) -> bool {
    let shown = shown.as_bytes();
    let Some((scheme, shown)) = shown.split_at_checked("Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ")
        && bool::from(shown.ct_eq(token.expose_secret().as_bytes()))
}

impl Refusal {
    /// The response to the refused request.
    pub(super) fn response(self) -> Response {
        let (status, text) = match self {
            Self::Browser => (
                StatusCode::FORBIDDEN,
                "a page in a browser may not do this: use the pyrotee command",
            ),
            Self::Certificate => (
                StatusCode::FORBIDDEN,
                "this needs a client certificate that an authority in admin-tls.client-ca-file signed, because admin-tls.client-auth is require; pyrotee's commands take it from --cert-file and --key-file",
            ),
            Self::Credential => (
                StatusCode::UNAUTHORIZED,
                "this needs the relay's admin-token as Authorization: Bearer, from loopback too; pyrotee's commands take it from PYROTEE_ADMIN_TOKEN, else from the configuration that --config or PYROTEE_CONFIG names",
            ),
            Self::Elsewhere => (
                StatusCode::FORBIDDEN,
                "without an admin-token only the relay's own machine may do this: run the command there, or set admin-token",
            ),
            Self::Forwarded => (
                StatusCode::FORBIDDEN,
                "without an admin-token only the relay's own machine may do this, and a proxy forwarded this request: ask the relay directly, or set admin-token",
            ),
        };
        let mut response = Failure::new(status, text).into_response();
        if self == Self::Credential {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(
        access: Access,
        token: Option<&str>,
        peer: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<(), Refusal> {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (name.clone(), value)
        });
        let guard = Guard::new(token.map(SecretString::from));
        guard.check(access, peer.parse().unwrap(), &headers.collect())
    }

    fn check(
        token: Option<&str>,
        peer: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<(), Refusal> {
        let change = ask(Access::Change, token, peer, headers);
        assert_eq!(change, ask(Access::Read, token, peer, headers));
        change
    }

    fn bearer(shown: &str) -> [(HeaderName, &str); 1] {
        [(AUTHORIZATION, shown)]
    }

    #[test]
    fn without_a_token_this_machine_may_and_no_other() {
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(check(None, peer, &[]), Ok(()), "{peer}");
        }
        for peer in ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "0.0.0.0"] {
            assert_eq!(check(None, peer, &[]), Err(Refusal::Elsewhere), "{peer}");
            let shown = bearer("Bearer ");
            assert_eq!(check(None, peer, &shown), Err(Refusal::Elsewhere), "{peer}");
        }
    }

    #[test]
    fn what_a_proxy_forwarded_is_not_of_this_machine() {
        for name in [
            "forwarded",
            "via",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-client-cert",
            "x-original-forwarded-for",
            "x-envoy-external-address",
            "true-client-ip",
            "cf-connecting-ip",
            "x-client-ip",
            "x-cluster-client-ip",
        ] {
            let forwarded = [(HeaderName::from_static(name), "")];
            assert_eq!(
                check(None, "127.0.0.6", &forwarded),
                Err(Refusal::Forwarded),
                "{name}"
            );
            let [shown] = bearer("Bearer secret");
            let [forwarded] = forwarded;
            assert_eq!(
                check(Some("secret"), "127.0.0.6", &[forwarded, shown]),
                Ok(()),
                "{name}"
            );
        }
        let others = ["x-request-id", "user-agent", "accept"];
        let others = others.map(|name| (HeaderName::from_static(name), "1"));
        assert_eq!(check(None, "127.0.0.1", &others), Ok(()));
    }

    #[test]
    fn once_there_is_a_token_it_is_asked_of_everybody() {
        for peer in ["127.0.0.1", "::1", "10.0.0.1"] {
            let ask = |shown: &[(HeaderName, &str)]| check(Some("secret"), peer, shown);
            assert_eq!(ask(&[]), Err(Refusal::Credential), "{peer}");
            assert_eq!(ask(&bearer("Bearer secret")), Ok(()), "{peer}");
            assert_eq!(ask(&bearer("bearer secret")), Ok(()), "{peer}");
            for wrong in [
                "Bearer",
                "Bearer ",
                "Bearer secre",
                "Bearer secret2",
                "Bearer  secret",
                "Basic secret",
                "secret",
                "Bearer s\u{e9}cret",
            ] {
                assert_eq!(ask(&bearer(wrong)), Err(Refusal::Credential), "{wrong}");
            }
        }
    }

    #[test]
    fn a_token_changes_for_the_next_request_of_all_clones() {
        let guard = Guard::new(None);
        let shared = guard.clone();
        let outside: IpAddr = "10.0.0.1".parse().unwrap();
        let ask = |token: &str| {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            shared.check(Access::Change, outside, &headers)
        };
        assert_eq!(ask("first"), Err(Refusal::Elsewhere));
        guard.set(Some(SecretString::from("first")));
        assert_eq!(ask("first"), Ok(()));
        guard.set(Some(SecretString::from("second")));
        assert_eq!(ask("first"), Err(Refusal::Credential));
        assert_eq!(ask("second"), Ok(()));
        assert!(!format!("{guard:?}").contains("second"));
        guard.set(None);
        assert_eq!(ask("second"), Err(Refusal::Elsewhere));
    }

    #[test]
    fn a_page_in_a_browser_may_not_change_anything_even_with_the_token() {
        for header in [
            (ORIGIN, "null"),
            (ORIGIN, "http://127.0.0.1:4041"),
            (FETCH_SITE, "cross-site"),
            (FETCH_SITE, "same-site"),
            (FETCH_SITE, "same-origin"),
            (FETCH_SITE, "none"),
        ] {
            for token in [None, Some("secret")] {
                let headers = [(AUTHORIZATION, "Bearer secret"), header.clone()];
                let asked = ask(Access::Change, token, "127.0.0.1", &headers);
                assert_eq!(asked, Err(Refusal::Browser), "{header:?}");
            }
        }
    }

    #[test]
    fn a_browser_may_read_what_no_other_page_asks_for() {
        for (site, allowed) in [
            ("none", Ok(())),
            ("same-origin", Ok(())),
            ("same-site", Err(Refusal::Browser)),
            ("cross-site", Err(Refusal::Browser)),
        ] {
            let asked = ask(Access::Read, None, "127.0.0.1", &[(FETCH_SITE, site)]);
            assert_eq!(asked, allowed, "{site}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let of = |refusal: Refusal| refusal.response();
        assert_eq!(
            of(Refusal::Credential).headers()[WWW_AUTHENTICATE],
            "Bearer"
        );
        assert_eq!(of(Refusal::Credential).status(), StatusCode::UNAUTHORIZED);
        for refusal in [Refusal::Elsewhere, Refusal::Forwarded, Refusal::Browser] {
            assert_eq!(of(refusal).status(), StatusCode::FORBIDDEN);
        }
    }
}
