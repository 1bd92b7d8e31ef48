//! Heads in transit: what ends at a relay, what it adds, and nothing else.
//!
//! Removing from a `HeaderMap` moves its last entry into the gap, so a map that must lose something
//! is built anew: order is part of what the upstream is promised.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};

/// Most header fields of a request (beyond it: 431) and of an answer. hyper makes room for all of them for each
/// head that it reads: a thousand would cost 64 KB of allocations for each of the two.
pub(crate) const MAX_FIELDS: usize = 128;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers that mean one connection only (RFC 9110 §7.6.1), beside those that `Connection` lists.
/// `Transfer-Encoding` stays where the next hop speaks HTTP/1.1 too: hyper frames by it.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    UPGRADE,
    HTTP2_SETTINGS,
];

/// Whether a message with these headers is gRPC: not gRPC-web, which is made for HTTP/1.1.
pub(crate) fn speaks_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Whether this is a gRPC call: the upstream gets it over HTTP/2.
pub(crate) fn is_grpc<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2 && speaks_grpc(request.headers())
}

/// The protocol that a client asks to switch to, if the relay can go along: `h2c` it cannot, since
/// a tunnel would carry requests past the tee.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !lists(headers, &CONNECTION, "upgrade") {
        return None;
    }
    let wanted: Vec<_> = tokens(headers, &UPGRADE)
        .filter(|protocol| !protocol.eq_ignore_ascii_case("h2c"))
        .collect();
    if wanted.is_empty() {
        None
    } else {
        HeaderValue::from_str(&wanted.join(", ")).ok()
    }
}

/// Makes a client's head fit for the upstream: `Host` as the client meant it, hop-by-hop headers
/// gone, an upgrade passed on, HTTP/1.1.
pub(crate) fn prepare_request<B>(request: &mut Request<B>) {
    let upgrade = upgrade(request.headers());
    let te = is_grpc(request) && lists(request.headers(), &TE, "trailers");
    // The authority of an absolute target, or `:authority`, overrules Host (RFC 9112 §3.2.2).
    let host = request.uri().authority();
    let host = host.and_then(|host| HeaderValue::from_str(host.as_str()).ok());
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
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    if te {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Makes the upstream's head fit for a client that spoke `client`.
pub(crate) fn prepare_response<B>(response: &mut Response<B>, client: Version) {
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    let upgrade = headers.get(UPGRADE).filter(|_| switching).cloned();
    strip(headers, client == Version::HTTP_11);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// Says who the client is: appended to what relays before this one said, but host and scheme are
/// the first relay's to tell.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, client: IpAddr) {
    let client = client.to_canonical();
    let chain = tokens(headers, &X_FORWARDED_FOR)
        .chain([client.to_string().as_str()])
        .fold(String::new(), |chain, hop| {
            if chain.is_empty() {
                hop.to_owned()
            } else {
                chain + ", " + hop
            }
        });
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    if let Some(host) = headers.get(HOST).cloned() {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
}

/// How many proxies say that they have relayed a request.
pub(crate) fn proxies(headers: &HeaderMap) -> usize {
    tokens(headers, &X_FORWARDED_FOR).count()
}

/// The upstream's URI for a client's target: path and query byte for byte.
///
/// `None` for a target that no origin server can be asked for (`CONNECT`).
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

fn strip(headers: &mut HeaderMap, keep_transfer_encoding: bool) {
    let listed: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        // Nobody may have the relay remove what frames or routes the message.
        .filter(|name| !["content-length", "host", "transfer-encoding"].contains(&name.as_str()))
        .collect();
    let ends_here = |name: &HeaderName| {
        HOP_BY_HOP.contains(name)
            || listed.contains(name)
            || (name == TRANSFER_ENCODING && !keep_transfer_encoding)
    };
    if !headers.keys().any(ends_here) {
        return;
    }
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut current = None;
    for (name, value) in std::mem::take(headers) {
        // Further values of a header come without its name.
        if name.is_some() {
            current = name;
        }
        if let Some(name) = current.as_ref().filter(|name| !ends_here(name)) {
            kept.append(name.clone(), value);
        }
    }
    *headers = kept;
}

/// HTTP/2 may split cookies over several fields, HTTP/1.1 may not (RFC 9113 §8.2.3).
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

/// The elements of a comma-separated header.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let headers = prepared(&[
            ("connection", "content-length, host, transfer-encoding"),
            ("host", "h"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
        ]);
        assert_eq!(
            names(&headers),
            ["host", "content-length", "transfer-encoding"]
        );
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

    #[test]
    fn the_client_is_appended_to_the_chain() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("pyroscope"));
        add_forwarded(&mut headers, "::ffff:10.0.0.9".parse().unwrap());
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert_eq!(headers["x-forwarded-host"], "pyroscope");
        assert_eq!(headers["x-forwarded-proto"], "http");

        assert_eq!(proxies(&headers), 1);

        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        add_forwarded(&mut headers, "10.0.0.10".parse().unwrap());
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9, 10.0.0.10");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(proxies(&headers), 2);
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
