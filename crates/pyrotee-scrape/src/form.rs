//! The request by which a scraped profile is sent: the form that Pyroscope 0.37 and 2.x both store correctly.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use pyroscope_wire::query;

use crate::fetch::AGENT;

/// What a request says about its profile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Description<'a> {
    /// Name of the series, with labels.
    pub(crate) name: &'a str,
    pub(crate) spy_name: &'a str,
    /// Nanoseconds since 1970.
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// JSON; `None`: the receiver knows the types.
    pub(crate) sample_type_config: Option<&'a str>,
}

/// Most bytes of a request's body beside profile and configuration.
pub(crate) const OVERHEAD: usize = 512;

/// The request for a profile. `headers` are those of the configuration.
pub(crate) fn request(
    profile: &[u8],
    description: &Description<'_>,
    headers: &HeaderMap,
) -> Request<Bytes> {
    // Random, so that no application can put it into its profile.
    let boundary = format!(
        "pyrotee{:016x}{:016x}",
        fastrand::u64(..),
        fastrand::u64(..)
    );
    let config = description.sample_type_config;
    let length = profile.len() + config.map_or(0, str::len) + OVERHEAD;
    let mut body = BytesMut::with_capacity(length);
    put_part(&mut body, &boundary, "profile", "profile.pprof", profile);
    if let Some(config) = config {
        let file = "sample_type_config.json";
        put_part(
            &mut body,
            &boundary,
            "sample_type_config",
            file,
            config.as_bytes(),
        );
    }
    body.put_slice(format!("--{boundary}--\r\n").as_bytes());
    let mut request = Request::new(body.freeze());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri(description);
    request.headers_mut().extend(headers.clone());
    request.headers_mut().insert(USER_AGENT, AGENT);
    let content_type = format!("multipart/form-data; boundary={boundary}");
    if let Ok(content_type) = HeaderValue::from_str(&content_type) {
        request.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    request
}

fn put_part(body: &mut BytesMut, boundary: &str, name: &str, file: &str, content: &[u8]) {
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.put_slice(head.as_bytes());
    body.put_slice(content);
    body.put_slice(b"\r\n");
}

/// `/ingest` with its query, in origin form.
fn uri(description: &Description<'_>) -> Uri {
    let mut text = String::from("/ingest?name=");
    text.push_str(&query::encode(description.name));
    let (from, until) = (description.from, description.until);
    let spy = query::encode(description.spy_name);
    let written = write!(
        text,
        "&from={from}&until={until}&spyName={spy}&sampleRate=100"
    );
    debug_assert!(written.is_ok(), "a String accepts every write");
    // Only a name of more than 64 KiB has no URI; the receiver refuses the request without a name.
    text.parse().unwrap_or_else(|_| Uri::from_static("/ingest"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_form_that_both_generations_store() {
        let description = Description {
            name: "shop.cart{env=prod,path=/a b}",
            spy_name: "gospy",
            from: 1_000,
            until: 2_000,
            sample_type_config: Some("{}"),
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-scope-orgid", HeaderValue::from_static("a"));
        let request = request(b"\x1f\x8bprofile", &description, &headers);
        assert_eq!(
            request.uri(),
            "/ingest?name=shop.cart%7Benv%3Dprod%2Cpath%3D%2Fa%20b%7D&from=1000&until=2000&spyName=gospy&sampleRate=100"
        );
        assert_eq!(request.headers()["x-scope-orgid"], "a");
        let content_type = request.headers()[CONTENT_TYPE].to_str().unwrap();
        let boundary = content_type
            .strip_prefix("multipart/form-data; boundary=")
            .unwrap();
        let part = |name: &str, file: &str, content: &str| {
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n"
            )
        };
        let mut expected = part("profile", "profile.pprof", "PROFILE");
        expected += &part("sample_type_config", "sample_type_config.json", "{}");
        expected += &format!("--{boundary}--\r\n");
        let body = request.body().as_ref();
        let expected = expected.into_bytes();
        let at = expected.windows(7).position(|it| it == b"PROFILE").unwrap();
        let expected = [&expected[..at], b"\x1f\x8bprofile", &expected[at + 7..]].concat();
        assert_eq!(body, expected);
        assert!(body.len() < OVERHEAD);
    }
}
