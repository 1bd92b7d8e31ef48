//! Headers that concern one connection only (RFC 9110 §7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{elements, has_element};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Hop-by-hop headers that are always removed. [`strip`] also removes those that `Connection` lists, and treats
/// `Transfer-Encoding` apart.
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

/// Returns the protocols that a client asks to switch to, without `h2c`: a tunnel of HTTP/2 would
/// carry requests past the tee. `None` if no other protocol is left.
pub(crate) fn requested_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !has_element(headers, &CONNECTION, "upgrade") {
        return None;
    }
    let wanted: Vec<_> = elements(headers, &UPGRADE)
        .filter(|protocol| !protocol.eq_ignore_ascii_case(b"h2c"))
        .collect();
    if wanted.is_empty() {
        None
    } else {
        HeaderValue::from_bytes(&wanted.join(&b", "[..])).ok()
    }
}

/// Removes the hop-by-hop headers. `Transfer-Encoding` can be kept: if the next hop speaks
/// HTTP/1.1 as well, hyper frames the body by it. A `Content-Length` beside it is removed, because it is not
/// the length of the body (RFC 9112 §6.1).
///
/// Removing from a `HeaderMap` moves its last entry into the gap, so the map is built anew: the
/// order of headers must not change.
pub(super) fn strip(headers: &mut HeaderMap, keep_transfer_encoding: bool) {
    let listed: Vec<HeaderName> = elements(headers, &CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        // A client must not make the relay remove headers that frame or route the message.
        .filter(|name| !["content-length", "host", "transfer-encoding"].contains(&name.as_str()))
        .collect();
    let has_two_framings =
        headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
    let ends_here = |name: &HeaderName| {
        HOP_BY_HOP.contains(name)
            || listed.contains(name)
            || (name == TRANSFER_ENCODING && !keep_transfer_encoding)
            || (name == CONTENT_LENGTH && has_two_framings)
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
