//! Recognises gRPC by version and `Content-Type`.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Version};

/// Whether a message with these headers is gRPC. gRPC-Web is not: it is made for HTTP/1.1.
pub(crate) fn speaks_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Whether a request is a gRPC call over HTTP/2, which the upstream gets over HTTP/2 as well.
pub(crate) fn is_grpc<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2 && speaks_grpc(request.headers())
}
