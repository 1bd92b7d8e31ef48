//! The URI of a request to the upstream.

use http::{Method, Uri};

/// Returns the URI for a client's request target: `origin` with the target's path and query, byte
/// for byte. `None` for `CONNECT`, which an origin server cannot be asked for.
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

#[cfg(test)]
mod tests {
    use super::*;

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
