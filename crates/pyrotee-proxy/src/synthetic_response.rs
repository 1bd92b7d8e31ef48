//! Responses that pyrotee makes itself, in the format that Pyroscope uses on the same surface.
//!
//! They have a body type of their own: `Full::with_trailers` of http-body-util does not forward
//! `is_end_stream`, so over HTTP/2 a response without a body would no longer end with its head, which
//! gRPC requires of errors (*Trailers-Only*).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pyroscope_wire::encoding::{Framing, Syntax};
use pyroscope_wire::error_response::{CONTENT_TYPE as JSON, RpcCode, error_body};
use pyroscope_wire::{Encoding, Surface, grpc, grpc_web};

use crate::head;
/// Seconds after which a client may retry when no queue took its profile, or the upstream is saturated.
pub(crate) const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

const GRPC_STATUS: HeaderName = HeaderName::from_static(grpc::STATUS);
const GRPC_MESSAGE: HeaderName = HeaderName::from_static(grpc::MESSAGE);

/// A gRPC frame with an empty message: no compression, length 0.
const EMPTY_MESSAGE: Bytes = Bytes::from_static(&[0; 5]);

/// The format in which the client of an ingestion request expects its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFormat {
    /// `/ingest`: a success has neither a body nor a `Content-Type`.
    Ingest,
    /// Connect or OTLP over HTTP: a success is an empty message of this `Content-Type`.
    Message(&'static str),
    /// gRPC: the HTTP status is always 200; the gRPC status is in the trailers, or in the headers of an
    /// error. `declare_trailers` is for HTTP/1.1, where hyper drops a trailer that the head does not
    /// declare.
    Grpc { declare_trailers: bool },
    /// gRPC-Web with this framing and syntax: as gRPC, but the gRPC status is always in the body.
    GrpcWeb(Framing, Syntax),
}

impl ResponseFormat {
    /// Returns the format for the response to `request`, which was sent to `surface`.
    pub fn of<B>(request: &Request<B>, surface: Surface) -> Self {
        let content_type = request
            .headers()
            .get(CONTENT_TYPE)
            .map(HeaderValue::as_bytes);
        if head::speaks_grpc(request.headers()) {
            return Self::Grpc {
                declare_trailers: head::takes_grpc_trailers(request),
            };
        }
        if let Some(encoding) = Encoding::of(surface, content_type)
            && matches!(encoding.framing(), Framing::GrpcWeb | Framing::GrpcWebText)
        {
            return Self::GrpcWeb(encoding.framing(), encoding.syntax());
        }
        let content_type = content_type.unwrap_or_default();
        match surface {
            Surface::Ingest => Self::Ingest,
            Surface::Push if content_type.starts_with(b"application/json") => Self::Message(JSON),
            Surface::Push => Self::Message("application/proto"),
            // Pyroscope responds in this type, whatever type the OTLP client sent.
            Surface::Otlp | Surface::OtlpV1 => Self::Message("application/x-protobuf"),
        }
    }

    /// Returns the response to a profile that was accepted: a 200, because the Go SDK accepts no other
    /// status.
    pub fn success(self) -> Response<SyntheticBody> {
        match self {
            Self::Ingest => build(StatusCode::OK, None, SyntheticBody::of(Bytes::new())),
            Self::Message(JSON) => {
                build(StatusCode::OK, Some(JSON), SyntheticBody::of("{}".into()))
            }
            Self::Message(kind) => {
                build(StatusCode::OK, Some(kind), SyntheticBody::of(Bytes::new()))
            }
            Self::Grpc { declare_trailers } => {
                let mut trailers = HeaderMap::new();
                trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
                let body = SyntheticBody {
                    data: Some(EMPTY_MESSAGE),
                    trailers: Some(trailers),
                };
                let mut response = build(StatusCode::OK, Some("application/grpc"), body);
                if declare_trailers {
                    let declared = HeaderValue::from_static(grpc::STATUS);
                    response.headers_mut().insert(TRAILER, declared);
                }
                response
            }
            Self::GrpcWeb(framing, syntax) => {
                web(framing, syntax, Some(b""), &[(grpc::STATUS, "0")])
            }
        }
    }

    /// Returns the response to a profile that was not accepted. gRPC uses `code` and ignores `status`.
    pub fn error(
        self,
        status: StatusCode,
        code: RpcCode,
        message: &str,
    ) -> Response<SyntheticBody> {
        let rpc_status = code.grpc_status();
        let message = match self {
            Self::Ingest | Self::Message(_) => return error(status, code, message),
            Self::Grpc { .. } | Self::GrpcWeb(..) => grpc::error_message(message),
        };
        if let Self::GrpcWeb(framing, syntax) = self {
            let rpc_status = rpc_status.to_string();
            let trailers = [(grpc::STATUS, &*rpc_status), (grpc::MESSAGE, &*message)];
            return web(framing, syntax, None, &trailers);
        }
        let body = SyntheticBody::of(Bytes::new());
        let mut response = build(StatusCode::OK, Some("application/grpc"), body);
        let headers = response.headers_mut();
        headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(rpc_status)));
        if let Ok(message) = HeaderValue::from_str(&message) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }

    /// Returns a 503 with `Retry-After`: the profile could not be queued.
    pub fn overloaded(self, message: &str) -> Response<SyntheticBody> {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut response = self.error(status, RpcCode::Unavailable, message);
        response
            .headers_mut()
            .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        response
    }
}

/// Returns an error as Pyroscope writes it: a Connect code and a message, in JSON.
pub(crate) fn error(status: StatusCode, code: RpcCode, message: &str) -> Response<SyntheticBody> {
    build(
        status,
        Some(JSON),
        SyntheticBody::of(error_body(code, message).into()),
    )
}

/// Returns a response of gRPC-Web.
fn web(
    framing: Framing,
    syntax: Syntax,
    message: Option<&[u8]>,
    trailers: &[(&str, &str)],
) -> Response<SyntheticBody> {
    let content_type = match (framing, syntax) {
        (Framing::GrpcWebText, _) => "application/grpc-web-text+proto",
        (_, Syntax::Proto) => "application/grpc-web+proto",
        (_, Syntax::Json) => "application/grpc-web+json",
    };
    let body = grpc_web::response_body(framing, message, trailers);
    build(StatusCode::OK, Some(content_type), SyntheticBody::of(body))
}

fn build(
    status: StatusCode,
    content_type: Option<&'static str>,
    body: SyntheticBody,
) -> Response<SyntheticBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(kind) = content_type {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// The body of a response that pyrotee makes itself: at most one frame of data, then trailers if there
/// are any.
#[derive(Debug)]
pub struct SyntheticBody {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl SyntheticBody {
    /// Returns a 200 with a plain text.
    pub fn text(text: &'static str) -> Response<Self> {
        build(
            StatusCode::OK,
            Some("text/plain; charset=utf-8"),
            Self::of(Bytes::from(text)),
        )
    }

    fn of(data: Bytes) -> Self {
        Self {
            data: Some(data).filter(|data| !data.is_empty()),
            trailers: None,
        }
    }
}

impl Body for SyntheticBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // With a length hyper would send `Content-Length`, which leaves no place for trailers over
        // HTTP/1.1.
        if self.trailers.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}
