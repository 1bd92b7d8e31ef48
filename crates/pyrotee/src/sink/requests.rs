//! What the sink answers to one request.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use pyroscope_wire::{Surface, answer};

use super::digest::{Digest, Hasher};
use super::line::{Line, Outcome};

const GREETING: &str = "pyrotee sink: POST profiles to /ingest\n";

/// A request after its body has been read.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) response: Response<Full<Bytes>>,
    /// None if it was no profile.
    pub(super) line: Option<Line>,
}

/// Reads the request to its end and decides what to answer.
///
/// # Errors
/// A body that was no profile broke off.
pub(super) async fn receive(
    request: Request<Incoming>,
    status: StatusCode,
) -> hyper::Result<Received> {
    let (head, body) = request.into_parts();
    let (digest, end) = read(body).await;

    let Some(surface) = Surface::recognise(head.method.as_str(), head.uri.path()) else {
        end?;
        let response = elsewhere(&head.method, head.uri.path());
        return Ok(Received {
            response,
            line: None,
        });
    };
    let outcome = match end {
        Ok(()) => Outcome::Answered(status),
        Err(_) => Outcome::Incomplete,
    };
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let query = head.uri.query().unwrap_or_default();
    let line = Line::new(surface, query, content_type, digest, outcome);
    Ok(Received {
        response: as_told(status),
        line: Some(line),
    })
}

/// Hashes a body frame by frame; nothing of it is kept.
async fn read(mut body: Incoming) -> (Digest, hyper::Result<()>) {
    let mut hasher = Hasher::default();
    let end = loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    hasher.update(data);
                }
            }
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    (hasher.finish(), end)
}

/// A success has no body, like Pyroscope's; a refusal has one in its shape.
fn as_told(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = if status.is_client_error() || status.is_server_error() {
        let message = format!("the sink was told to answer {}", status.as_u16());
        json(answer::error_body(code(status), &message))
    } else {
        Response::default()
    };
    *response.status_mut() = status;
    response
}

fn elsewhere(method: &Method, path: &str) -> Response<Full<Bytes>> {
    if matches!(*method, Method::GET | Method::HEAD) && path == "/" {
        let mut response = Response::new(Full::from(GREETING));
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
        return response;
    }
    let message = format!("the sink takes profiles only, not {method} {path}");
    let mut response = json(answer::error_body("not_found", &message));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn json(body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    let json = HeaderValue::from_static(answer::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The code of the connect protocol that Pyroscope puts beside a status.
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 413 => answer::INVALID_ARGUMENT,
        401 => "unauthenticated",
        403 => "permission_denied",
        404 => "not_found",
        429 => "resource_exhausted",
        500 => "internal",
        501 => "unimplemented",
        503 => "unavailable",
        504 => "deadline_exceeded",
        _ => "unknown",
    }
}
