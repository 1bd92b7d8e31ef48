//! Turns a client's request head into the upstream's, and the upstream's response head into the
//! client's.

use http::header::{CONNECTION, COOKIE, HOST, TE, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};

use super::hop_by_hop::{requested_upgrade, strip};
use super::{has_element, host_of, is_grpc, speaks_grpc};

/// Prepares a client's head for the upstream: sets `Host` to the authority that the client asked
/// for, removes hop-by-hop headers, and passes on an upgrade and the `TE: trailers` of gRPC.
pub(crate) fn prepare_request<B>(request: &mut Request<B>) {
    let upgrade = requested_upgrade(request.headers());
    let te = speaks_grpc(request.headers()) && has_element(request.headers(), &TE, "trailers");
    // The authority of an absolute target, or `:authority`, overrules Host (RFC 9112 §3.2.2).
    let host = host_of(request.uri());
    let keep_transfer_encoding = request.version() == Version::HTTP_11;
    let multiplexed = request.version() == Version::HTTP_2 && !is_grpc(request);
    let headers = request.headers_mut();
    strip(headers, keep_transfer_encoding);
    if multiplexed {
        join_cookies(headers);
    }
    if let Some(host) = host
        && headers.get(HOST) != Some(&host)
    {
        headers.insert(HOST, host);
    }
    if let Some(protocol) = upgrade {
        insert_upgrade(headers, protocol);
    }
    if te {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Prepares the upstream's head for a client that used the HTTP version `client`.
pub(crate) fn prepare_response<B>(response: &mut Response<B>, client: Version) {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    let upgrade = headers.get(UPGRADE).filter(|_| switching).cloned();
    strip(headers, client == Version::HTTP_11);
    if let Some(protocol) = upgrade {
        insert_upgrade(headers, protocol);
    }
}

fn insert_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Joins cookies into one field: HTTP/2 may split them over several, HTTP/1.1 may not (RFC 9113
/// §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(cookies) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookies);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::head::MAX_FIELDS;

    /// The headers of a request as the upstream gets them.
    fn prepared(headers: &[(&str, &str)]) -> HeaderMap {
        let mut request = Request::builder().uri("/ingest?name=a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        prepare_request(&mut request);
        request.into_parts().0.headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn what_ends_here_is_gone_and_the_rest_keeps_its_order() {
        let headers = prepared(&[
            ("connection", "keep-alive, X-Secret"),
            ("a", "1"),
            ("keep-alive", "timeout=5"),
            ("b", "2"),
            ("x-secret", "s"),
            ("a", "3"),
            ("proxy-authorization", "p"),
            ("te", "trailers"),
            ("z", "9"),
        ]);
        assert_eq!(names(&headers), ["a", "b", "z"]);
        assert_eq!(headers.get_all("a").iter().count(), 2);
    }

    #[test]
    fn connection_cannot_remove_what_frames_the_message() {
        for framing in [("content-length", "3"), ("transfer-encoding", "chunked")] {
            let listed = ("connection", "content-length, host, transfer-encoding");
            let headers = prepared(&[listed, ("host", "h"), framing]);
            assert_eq!(names(&headers), ["host", framing.0]);
        }
    }

    #[test]
    fn the_elements_that_count_are_as_many_as_a_head_has_fields() {
        let many = |extra: &str| format!("{}{extra}", "a,".repeat(MAX_FIELDS - 1));
        let headers = prepared(&[("connection", &many("x-secret")), ("x-secret", "s")]);
        assert_eq!(names(&headers), [""; 0]);
        let headers = prepared(&[("connection", &many("a,x-secret")), ("x-secret", "s")]);
        assert_eq!(names(&headers), ["x-secret"]);
        let upgrade = [
            ("connection", &*many("a,upgrade")),
            ("upgrade", "websocket"),
        ];
        assert_eq!(names(&prepared(&upgrade)), [""; 0]);
    }

    #[test]
    fn a_response_with_two_framings_loses_its_length() {
        for (client, framing) in [
            (Version::HTTP_11, &["transfer-encoding"][..]),
            (Version::HTTP_2, &[]),
        ] {
            let response = Response::builder().header("transfer-encoding", "chunked");
            let mut response = response.header("content-length", "30").body(()).unwrap();
            prepare_response(&mut response, client);
            assert_eq!(names(response.headers()), framing);
        }
    }

    #[test]
    fn websockets_pass_and_h2c_does_not() {
        let headers = prepared(&[
            ("connection", "Upgrade, HTTP2-Settings"),
            ("upgrade", "h2c, websocket"),
            ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ]);
        assert_eq!(headers["upgrade"], "websocket");
        assert!(!headers.contains_key("http2-settings"));

        let headers = prepared(&[("connection", "upgrade"), ("upgrade", "h2c")]);
        assert_eq!(names(&headers), [""; 0]);
    }

    #[test]
    fn grpc_asks_for_trailers_over_http_1_1_as_well() {
        let headers = prepared(&[
            ("content-type", "application/grpc+proto"),
            ("te", "gzip, trailers"),
        ]);
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn crumbs_of_http2_become_one_cookie() {
        let request = Request::post("http://h/").version(Version::HTTP_2);
        let mut request = request
            .header(COOKIE, "a=1")
            .header(COOKIE, "b=2")
            .body(())
            .unwrap();
        prepare_request(&mut request);
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }
}
