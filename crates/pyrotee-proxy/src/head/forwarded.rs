//! `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto`.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::pieces;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Appends `client` to `X-Forwarded-For`. Sets host and scheme (`https` if `is_tls`) only if no proxy before this one
/// has set them.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, client: IpAddr, is_tls: bool) {
    let client = client.to_canonical().to_string();
    // As bytes, because values from earlier proxies may not be ASCII.
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    let lines = lines.map(HeaderValue::as_bytes);
    let mut chain = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        chain.extend_from_slice(line);
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(client.as_bytes());
    if let Ok(chain) = HeaderValue::from_maybe_shared(Bytes::from(chain)) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    if let Some(host) = headers.get(HOST).cloned() {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
    let scheme = if is_tls { "https" } else { "http" };
    headers
        .entry(X_FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static(scheme));
}

/// Whether at least `count` proxies have relayed a request, by its `X-Forwarded-For`.
pub(crate) fn has_passed_proxies(headers: &HeaderMap, count: usize) -> bool {
    hops(headers).take(count).count() == count
}

/// Returns the client that the first proxy saw, as `X-Forwarded-For` names it; `None` if the request has
/// passed no proxy.
pub(crate) fn first_forwarded_for(headers: &HeaderMap) -> Option<&[u8]> {
    hops(headers).next()
}

/// The proxies and the client of `X-Forwarded-For`. Their number has no limit, unlike the elements of other headers: a
/// proxy that is left out would hide a loop.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    pieces(headers, &X_FORWARDED_FOR).filter(|hop| !hop.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_appended_to_the_chain() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("pyroscope"));
        add_forwarded(&mut headers, "::ffff:10.0.0.9".parse().unwrap(), false);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert_eq!(headers["x-forwarded-host"], "pyroscope");
        assert_eq!(headers["x-forwarded-proto"], "http");

        assert!(has_passed_proxies(&headers, 1) && !has_passed_proxies(&headers, 2));

        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        add_forwarded(&mut headers, "10.0.0.10".parse().unwrap(), false);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9, 10.0.0.10");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert!(has_passed_proxies(&headers, 2) && !has_passed_proxies(&headers, 3));
    }

    #[test]
    fn the_first_entry_that_is_not_empty_is_the_client() {
        for (lines, client) in [
            (&["", " , "][..], None),
            (&[" 10.0.0.1 , 10.0.0.2"], Some("10.0.0.1")),
            (&["10.0.0.1", "10.0.0.2"], Some("10.0.0.1")),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
            }
            let expected = client.map(str::as_bytes);
            assert_eq!(first_forwarded_for(&headers), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_client_over_tls_has_the_scheme_https() {
        let mut headers = HeaderMap::new();
        add_forwarded(&mut headers, "10.0.0.9".parse().unwrap(), true);
        assert_eq!(headers["x-forwarded-proto"], "https");
    }

    #[test]
    fn a_line_that_is_not_ascii_is_kept_as_are_empty_elements() {
        let mut headers = HeaderMap::new();
        for line in [&b"1.2.3.4\xff"[..], b"", b"5.6.7.8,, \xe4"] {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        add_forwarded(&mut headers, "10.0.0.9".parse().unwrap(), false);
        let chain = b"1.2.3.4\xff, 5.6.7.8,, \xe4, 10.0.0.9";
        assert_eq!(headers.get_all(X_FORWARDED_FOR).iter().count(), 1);
        assert_eq!(headers[X_FORWARDED_FOR].as_bytes(), chain);
        assert_eq!(first_forwarded_for(&headers), Some(&b"1.2.3.4\xff"[..]));
        assert!(has_passed_proxies(&headers, 4) && !has_passed_proxies(&headers, 5));
    }
}
