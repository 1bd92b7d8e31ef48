//! The URI of a request to the upstream.

use http::{HeaderValue, Method, Uri};

/// Returns the URI for a client's request target: `origin` with the target's path and query, byte for byte. `None` for
/// `CONNECT`, which an origin server does not serve.
pub(crate) fn upstream_uri(method: &Method, target: &Uri, origin: &Uri) -> Option<Uri> {
    if method == Method::CONNECT {
        return None;
    }
    let mut parts = origin.clone().into_parts();
    parts.path_and_query = target.path_and_query().cloned();
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    }
    Uri::from_parts(parts).ok()
}

/// Returns the `Host` for a request whose target names an authority: host and port, without the user and the password
/// that a client may have put before them (RFC 9110 §4.2.4). `None` if the target names no authority.
pub(crate) fn host_of(target: &Uri) -> Option<HeaderValue> {
    let authority = target.authority()?.as_str();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    HeaderValue::from_str(host).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_without_user_and_password() {
        for (target, host) in [
            ("http://u:p@h:1/x", Some("h:1")),
            ("http://u@[::1]/", Some("[::1]")),
            ("http://h/@x", Some("h")),
            ("/u:p@h", None),
        ] {
            let found = host_of(&target.parse().unwrap());
            assert_eq!(
                found.as_ref().map(HeaderValue::as_bytes),
                host.map(str::as_bytes)
            );
        }
    }

    #[test]
    fn the_target_is_kept_byte_for_byte() {
        let origin = Uri::from_static("http://127.0.0.1:4042");
        for target in [
            "//ingest?name=a%7Bb=c%7D&&x",
            "/x/../ingest",
            "/%69ngest?a{b}",
            "*",
        ] {
            let uri = upstream_uri(&Method::POST, &target.parse().unwrap(), &origin).unwrap();
            assert_eq!(uri.path_and_query().unwrap(), target);
        }
        assert!(upstream_uri(&Method::CONNECT, &"h:1".parse().unwrap(), &origin).is_none());
    }
}
