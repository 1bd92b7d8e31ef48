//! The responses of the admin listener.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use crate::json::line;
use crate::page_copies::PageCopies;

/// The Prometheus text format. OpenMetrics would force `_total` onto legacy names.
pub(super) const METRICS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The time limit of a whole request; an extension of responses that need longer than the default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTimeout(pub(crate) Duration);

/// The response to a request that fails: a status, and a JSON document with the reason and the next step.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    text: String,
    /// The request may succeed a second later.
    for_now: bool,
}

impl Failure {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            for_now: false,
        }
    }

    /// A failure of a request that may succeed a second later.
    pub(super) fn for_now(text: impl Into<String>) -> Self {
        Self {
            for_now: true,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = json(&serde_json::json!({ "error": self.text }));
        *response.status_mut() = self.status;
        if self.for_now {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(RETRY_AFTER, soon);
        }
        response
    }
}

/// A response with a page that is rendered for this request or shared with other requests.
pub(super) fn page(
    content_type: HeaderValue,
    copies: &PageCopies,
    render: impl FnOnce() -> String,
) -> Response {
    ([(CONTENT_TYPE, content_type)], copies.body(render)).into_response()
}

/// A response with `document` as one line of JSON.
pub(super) fn json(document: &impl serde::Serialize) -> Response {
    json_line(line(document))
}

/// A response with a line that is JSON already.
pub(super) fn json_line(line: impl Into<Bytes>) -> Response {
    ([(CONTENT_TYPE, JSON)], Body::from(line.into())).into_response()
}
