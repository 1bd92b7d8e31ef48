//! Answers of our own, in the shape that Pyroscope's have.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use pyroscope_wire::answer::{CONTENT_TYPE_JSON, error_body};

/// The body of an answer: the upstream's as it streams, or one of our own.
pub(crate) type AnswerBody = http_body_util::Either<Incoming, Full<Bytes>>;

/// Seconds after which a client may try again when no queue took its profile.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// `200` with an empty body: the Go SDK accepts nothing else.
pub(crate) fn taken() -> Response<AnswerBody> {
    Response::new(AnswerBody::Right(Full::default()))
}

/// An error as Pyroscope writes it: a connect code and a text, as JSON.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response<AnswerBody> {
    let body = Bytes::from(error_body(code, message));
    let mut response = Response::new(AnswerBody::Right(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_JSON));
    response
}

/// No queue took the profile.
pub(crate) fn overloaded(message: &str) -> Response<AnswerBody> {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    response
}
