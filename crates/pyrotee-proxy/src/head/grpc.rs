//! Recognises gRPC by version and `Content-Type`, and lets its trailers pass over HTTP/1.1.

use http::header::{CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, Version};

use super::has_element;

/// The trailers of a gRPC response that are not metadata of the application.
const TRAILERS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// Whether a message with these headers is gRPC. gRPC-Web does not count as gRPC: it is made for HTTP/1.1.
pub(crate) fn speaks_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Whether a request is a gRPC call over HTTP/2, which the upstream gets over HTTP/2 as well.
pub(crate) fn is_grpc<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2 && speaks_grpc(request.headers())
}

/// Whether the client of a request gets the trailers of a gRPC response over HTTP/1.1. connect-go serves gRPC over
/// HTTP/1.1, and `profilecli --protocol=grpc` uses that.
pub(crate) fn takes_grpc_trailers<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && speaks_grpc(request.headers())
        && has_element(request.headers(), &TE, "trailers")
}

/// Declares the trailers of a gRPC response to a client that takes them over HTTP/1.1 ([`takes_grpc_trailers`]).
///
/// gRPC servers do not declare their trailers, and hyper drops every trailer that the head does not declare. So the
/// head gets a `Trailer` with the names that gRPC defines. The head is sent before the upstream has sent the other
/// names, so undeclared metadata of the application is still lost.
pub(crate) fn declare_grpc_trailers<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    if !speaks_grpc(headers) || !headers.contains_key(TRANSFER_ENCODING) {
        return;
    }
    let missing = TRAILERS
        .into_iter()
        .filter(|name| !has_element(headers, &TRAILER, name));
    let missing = missing.collect::<Vec<_>>().join(", ");
    if let Ok(names) = HeaderValue::from_str(&missing)
        && !missing.is_empty()
    {
        headers.append(TRAILER, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of `Trailer` in a response with these headers.
    fn declared(headers: &[(&str, &str)]) -> Vec<String> {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let mut response = response.body(()).unwrap();
        declare_grpc_trailers(&mut response);
        let values = response.headers().get_all(TRAILER).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn what_a_grpc_server_leaves_undeclared_is_declared() {
        let grpc = ("content-type", "application/grpc+proto");
        let chunked = ("transfer-encoding", "chunked");
        assert_eq!(
            declared(&[grpc, chunked]),
            ["grpc-status, grpc-message, grpc-status-details-bin"]
        );
        assert_eq!(
            declared(&[grpc, chunked, ("trailer", "X-Sum, Grpc-Status")]),
            [
                "X-Sum, Grpc-Status",
                "grpc-message, grpc-status-details-bin"
            ]
        );
        let all = "grpc-message, Grpc-Status, grpc-status-details-bin";
        assert_eq!(declared(&[grpc, chunked, ("trailer", all)]), [all]);
    }

    #[test]
    fn other_responses_stay_as_they_are() {
        let chunked = ("transfer-encoding", "chunked");
        for headers in [
            // An error of gRPC has its status in the head, and no body.
            &[
                ("content-type", "application/grpc"),
                ("content-length", "0"),
            ][..],
            &[("content-type", "application/grpc-web"), chunked],
            &[("content-type", "text/plain"), chunked],
            &[chunked],
        ] {
            assert_eq!(declared(headers), [""; 0], "{headers:?}");
        }
    }

    #[test]
    fn only_a_client_that_takes_trailers_over_http_1_1_gets_them() {
        let request = |version, content_type: &str, te: &str| {
            let request = Request::post("/").version(version).header(TE, te);
            request.header(CONTENT_TYPE, content_type).body(()).unwrap()
        };
        let (grpc, http11) = ("application/grpc", Version::HTTP_11);
        assert!(takes_grpc_trailers(&request(
            http11,
            grpc,
            "gzip, Trailers"
        )));
        assert!(!takes_grpc_trailers(&request(http11, grpc, "gzip")));
        assert!(!takes_grpc_trailers(&request(
            http11,
            "text/plain",
            "trailers"
        )));
        assert!(!takes_grpc_trailers(&request(
            Version::HTTP_2,
            grpc,
            "trailers"
        )));
        assert!(!takes_grpc_trailers(&request(
            Version::HTTP_10,
            grpc,
            "trailers"
        )));
    }
}
