//! `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto`.

use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::elements;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Appends `client` to `X-Forwarded-For`. Sets host and scheme only if no proxy before this one
/// has set them.
pub(crate) fn add_forwarded(headers: &mut HeaderMap, client: IpAddr) {
    let client = client.to_canonical();
    let chain = elements(headers, &X_FORWARDED_FOR)
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

/// Counts the proxies that have relayed a request, by its `X-Forwarded-For`.
pub(crate) fn count_proxies(headers: &HeaderMap) -> usize {
    elements(headers, &X_FORWARDED_FOR).count()
}

/// Returns the client that the first proxy saw, as `X-Forwarded-For` names it; `None` if the request has
/// passed no proxy.
pub(crate) fn first_forwarded_for(headers: &HeaderMap) -> Option<&str> {
    elements(headers, &X_FORWARDED_FOR).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_appended_to_the_chain() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("pyroscope"));
        add_forwarded(&mut headers, "::ffff:10.0.0.9".parse().unwrap());
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert_eq!(headers["x-forwarded-host"], "pyroscope");
        assert_eq!(headers["x-forwarded-proto"], "http");

        assert_eq!(count_proxies(&headers), 1);

        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        add_forwarded(&mut headers, "10.0.0.10".parse().unwrap());
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9, 10.0.0.10");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(count_proxies(&headers), 2);
    }
}
