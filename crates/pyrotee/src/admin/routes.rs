//! Who answers a request to the admin listener: a page, or an action behind the guard.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::actions::Action;
use super::{Site, dead_letters};

/// The Prometheus text format. OpenMetrics would force `_total` onto legacy names.
pub(super) const METRICS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    peer: IpAddr,
    site: &Site,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    if let Some(rest) = dead_letters::rest_of(head.uri.path()) {
        return dead_letters::answer(rest, &head, body, peer, site).await;
    }
    if let Some(action) = Action::at(head.uri.path()) {
        if head.method != Method::POST {
            return not_allowed("POST", "only POST\n");
        }
        if let Err(refusal) = site.guard.check(peer, &head.headers) {
            return refusal.response();
        }
        let query = head.uri.query().unwrap_or_default();
        return site.actions.run(action, query, body).await;
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD", "only GET and HEAD\n");
    }
    let page = site.pages.get(head.uri.path());
    page.unwrap_or_else(|| {
        text(
            StatusCode::NOT_FOUND,
            "not found; see / for what there is\n",
        )
    })
}

pub(super) fn not_allowed(allow: &'static str, says: &'static str) -> Response<Full<Bytes>> {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, says);
    let allow = HeaderValue::from_static(allow);
    answer.headers_mut().insert(ALLOW, allow);
    answer
}

pub(super) fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(status, TEXT, text)
}

/// A JSON that was made here, as one line.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    let mut json =
        serde_json::to_string(value).expect("a tree of texts and numbers is writable as JSON");
    json.push('\n');
    respond(status, JSON, json)
}

/// Why something was not done, and the next step.
pub(super) fn error(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    json(status, &serde_json::json!({ "error": text }))
}

pub(super) fn respond(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
