//! The responses of the admin listener.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::body::{Body, full};
use crate::json::line;
use crate::page_copies::PageCopies;

/// The Prometheus text format. OpenMetrics would force `_total` onto legacy names.
pub(super) const METRICS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An extension of a response that takes more time than others: the limit of the whole request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTimeout(pub(crate) Duration);

pub(super) fn not_allowed(allow: &'static str, says: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, says);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(ALLOW, allow);
    response
}

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    respond(status, TEXT, full(text))
}

/// A page that is rendered for this request, or shared with others.
pub(super) fn page(
    content_type: HeaderValue,
    copies: &PageCopies,
    render: impl FnOnce() -> String,
) -> Response<Body> {
    respond(StatusCode::OK, content_type, copies.body(render))
}

/// A JSON that was made here, as one line.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    json_line(status, line(value))
}

/// A line that is JSON.
pub(super) fn json_line(status: StatusCode, line: impl Into<Bytes>) -> Response<Body> {
    respond(status, JSON, full(line))
}

/// Why something was not done, and the next step.
pub(super) fn error(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &serde_json::json!({ "error": text }))
}

/// Why something is not done now, while it would be a second later.
pub(super) fn unavailable(text: &str) -> Response<Body> {
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, text);
    let soon = HeaderValue::from_static("1");
    response.headers_mut().insert(RETRY_AFTER, soon);
    response
}

pub(super) fn respond(status: StatusCode, content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
