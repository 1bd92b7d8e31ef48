//! What the admin listener answers.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::Pages;
use crate::status::page;

/// The Prometheus text format. OpenMetrics would force `_total` onto legacy names.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

const INDEX: &str = "\
pyrotee
  /metrics         metrics for Prometheus
  /api/v1/status   how each target is, as JSON; `pyrotee status` shows it as a table
  /-/healthy       200 while the process lives
  /-/ready         200 while it wants requests, 503 while it stops
";

/// Answers one request.
pub(super) fn answer<B>(request: &Request<B>, pages: &Pages) -> Response<Full<Bytes>> {
    let Pages {
        scrape,
        status,
        health,
    } = pages;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, INDEX),
        "/metrics" => respond(StatusCode::OK, METRICS, scrape.render()),
        page::PATH => respond(StatusCode::OK, JSON, status.render()),
        "/-/healthy" if health.is_alive() => text(StatusCode::OK, "healthy\n"),
        "/-/healthy" => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the data path stands still\n",
        ),
        "/-/ready" if health.is_ready() => text(StatusCode::OK, "ready\n"),
        "/-/ready" => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: starting or stopping\n",
        ),
        _ => text(
            StatusCode::NOT_FOUND,
            "not found; see / for what there is\n",
        ),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(status, TEXT, text)
}

fn respond(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
