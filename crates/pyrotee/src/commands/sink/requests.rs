//! Reads a request to the sink and makes its response.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use pyroscope_wire::error_response::RpcCode;
use pyroscope_wire::{Coding, Encoding, Message, Surface};
use pyrotee_client::{BodyDigest, BodyHasher, ProfileLine, RequestEnd};
use pyrotee_proxy::{ResponseFormat, SyntheticBody};

const GREETING: &str = "pyrotee sink: POST profiles to /ingest, Push or OTLP\n";

/// Longest body of Push and OTLP, in bytes, that is kept to show the labels in it.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// A request after its body has been read.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) response: Response<SyntheticBody>,
    /// `None` if the request was no profile.
    pub(super) line: Option<ProfileLine>,
}

/// Reads a request to its end and makes the response, with `status` if the request carries a profile.
///
/// # Errors
/// A body that was no profile broke off.
pub(super) async fn receive(
    request: Request<Incoming>,
    status: StatusCode,
) -> hyper::Result<Received> {
    let surface = Surface::recognise(request.method().as_str(), request.uri().path());
    let format = surface.map(|surface| ResponseFormat::of(&request, surface));
    let (head, body) = request.into_parts();
    let keep = match surface {
        Some(Surface::Push | Surface::Otlp | Surface::OtlpV1) => KEPT_BYTES,
        Some(Surface::Ingest) | None => 0,
    };
    let body = read_body(body, keep).await;

    let (Some(surface), Some(format)) = (surface, format) else {
        body.end?;
        let response = no_profile(&head.method, head.uri.path());
        return Ok(Received {
            response,
            line: None,
        });
    };
    let end = match body.end {
        Ok(()) => RequestEnd::Responded(status),
        Err(_) => RequestEnd::BodyIncomplete,
    };
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let query = head.uri.query().unwrap_or_default();
    let message = body
        .kept
        .and_then(|kept| message(surface, &head.headers, &kept));
    let line = ProfileLine::new(
        surface,
        query,
        content_type,
        message.as_ref(),
        body.digest,
        end,
    );
    Ok(Received {
        response: response(format, status),
        line: Some(line),
    })
}

/// The digest of a body that was read, and the body if it is short.
struct HashedBody {
    digest: BodyDigest,
    /// The frames of the body; `None` if the body was too long to be kept.
    kept: Option<Vec<Bytes>>,
    end: hyper::Result<()>,
}

/// Hashes a body frame by frame, and keeps up to `keep` bytes of it.
async fn read_body(mut body: Incoming, keep: usize) -> HashedBody {
    let mut hasher = BodyHasher::default();
    let mut kept = Vec::new();
    let mut bytes = 0;
    let end = loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    hasher.update(&data);
                    bytes += data.len();
                    if bytes <= keep {
                        kept.push(data);
                    } else {
                        kept.clear();
                    }
                }
            }
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    HashedBody {
        digest: hasher.finish(),
        kept: (bytes <= keep).then_some(kept),
        end,
    }
}

/// Reads the message in a body; `None` if it cannot be read.
fn message(surface: Surface, headers: &HeaderMap, body: &[Bytes]) -> Option<Message> {
    let field = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let encoding = Encoding::of(surface, field(CONTENT_TYPE.as_str()))?;
    let coding = field(encoding.framing().coding_header());
    Message::read(encoding, Coding::of(coding).ok()?, body, KEPT_BYTES).ok()
}

/// The response that a Pyroscope gives on this surface.
fn response(format: ResponseFormat, status: StatusCode) -> Response<SyntheticBody> {
    if status.is_client_error() || status.is_server_error() {
        let message = format!("the sink was told to answer {}", status.as_u16());
        return format.error(status, RpcCode::from_http_status(status.as_u16()), &message);
    }
    let mut response = format.success();
    *response.status_mut() = status;
    response
}

fn no_profile(method: &Method, path: &str) -> Response<SyntheticBody> {
    if matches!(*method, Method::GET | Method::HEAD) && path == "/" {
        return SyntheticBody::text(GREETING);
    }
    let message = format!("the sink takes profiles only, not {method} {path}");
    ResponseFormat::Ingest.error(StatusCode::NOT_FOUND, RpcCode::NotFound, &message)
}
