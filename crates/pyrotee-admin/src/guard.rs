//! Who may change something through the admin listener.
//!
//! Whoever is on this machine may, and whoever shows the token. Pages of a browser may not: they
//! reach loopback as well, on behalf of whoever wrote them.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::body::Body;
use crate::response::error;

/// Set by browsers, and by nothing else (Fetch Metadata, W3C).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Knows the token, if there is one.
#[derive(Debug)]
pub struct Guard(Option<SecretString>);

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is a page in a browser.
    Browser,
    /// What was shown is not the token, or nothing was.
    Credential,
    /// Only this machine may, and it is another.
    Elsewhere,
}

impl Guard {
    /// Lets this machine, and whoever shows `token`.
    pub fn new(token: Option<SecretString>) -> Self {
        Self(token)
    }

    /// Whether a request from `peer` with these headers may change something.
    pub(super) fn check(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Refusal> {
        if headers.contains_key(ORIGIN) || headers.contains_key(FETCH_SITE) {
            return Err(Refusal::Browser);
        }
        let is_local = peer.to_canonical().is_loopback();
        match (&self.0, headers.get(AUTHORIZATION)) {
            (Some(token), Some(shown)) if is_bearer(shown, token) => Ok(()),
            // Whoever shows a wrong one is not who it thinks it is.
            (Some(_), Some(_)) => Err(Refusal::Credential),
            _ if is_local => Ok(()),
            (Some(_), None) => Err(Refusal::Credential),
            (None, _) => Err(Refusal::Elsewhere),
        }
    }
}

/// Compares digests, so that the time that it takes tells nothing of the token.
fn is_bearer(shown: &HeaderValue, token: &SecretString) -> bool {
    let shown = shown.as_bytes();
    let Some((scheme, shown)) = shown.split_at_checked("Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ")
        && Sha256::digest(shown) == Sha256::digest(token.expose_secret())
}

impl Refusal {
    /// The answer to whoever was refused.
    pub(super) fn response(self) -> Response<Body> {
        let (status, text) = match self {
            Self::Browser => (
                StatusCode::FORBIDDEN,
                "a page in a browser may not change anything here: use the pyrotee command",
            ),
            Self::Credential => (
                StatusCode::UNAUTHORIZED,
                "this needs the relay's admin-token as Authorization: Bearer",
            ),
            Self::Elsewhere => (
                StatusCode::FORBIDDEN,
                "only the relay's own machine may change something: run the command there, or set admin-token",
            ),
        };
        let mut response = error(status, text);
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

    fn check(
        token: Option<&str>,
        peer: &str,
        headers: &[(HeaderName, &str)],
    ) -> Result<(), Refusal> {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (name.clone(), value)
        });
        let guard = Guard::new(token.map(SecretString::from));
        guard.check(peer.parse().unwrap(), &headers.collect())
    }

    #[test]
    fn this_machine_may() {
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(check(None, peer, &[]), Ok(()), "{peer}");
            assert_eq!(check(Some("secret"), peer, &[]), Ok(()), "{peer}");
        }
    }

    #[test]
    fn another_machine_may_with_the_token_alone() {
        let ask = |token, shown: &[&str]| {
            let headers: Vec<_> = shown.iter().map(|value| (AUTHORIZATION, *value)).collect();
            check(token, "10.0.0.1", &headers)
        };
        assert_eq!(ask(None, &[]), Err(Refusal::Elsewhere));
        assert_eq!(ask(None, &["Bearer "]), Err(Refusal::Elsewhere));
        assert_eq!(ask(Some("secret"), &[]), Err(Refusal::Credential));
        assert_eq!(ask(Some("secret"), &["Bearer secret"]), Ok(()));
        assert_eq!(ask(Some("secret"), &["bearer secret"]), Ok(()));
        for wrong in [
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secret2",
            "Basic secret",
            "secret",
        ] {
            assert_eq!(
                ask(Some("secret"), &[wrong]),
                Err(Refusal::Credential),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_wrong_token_is_told_to_this_machine_too() {
        let wrong = [(AUTHORIZATION, "Bearer wrong")];
        assert_eq!(
            check(Some("secret"), "::1", &wrong),
            Err(Refusal::Credential)
        );
    }

    #[test]
    fn a_browser_may_not_even_with_the_token() {
        for header in [(ORIGIN, "null"), (FETCH_SITE, "cross-site")] {
            let headers = [(AUTHORIZATION, "Bearer secret"), header];
            assert_eq!(
                check(Some("secret"), "127.0.0.1", &headers),
                Err(Refusal::Browser)
            );
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
        assert_eq!(of(Refusal::Elsewhere).status(), StatusCode::FORBIDDEN);
        assert_eq!(of(Refusal::Browser).status(), StatusCode::FORBIDDEN);
    }
}
