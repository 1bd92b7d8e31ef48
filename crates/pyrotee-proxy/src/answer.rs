//! Answers of our own, as a Pyroscope would give them on the surface that was asked.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use hyper::body::Incoming;
use pyroscope_wire::Surface;
use pyroscope_wire::error_response::{CONTENT_TYPE as JSON, RpcCode, error_body};

use crate::head;

/// The body of an answer: the upstream's as it streams, or one of our own.
pub(crate) type LocalAnswer = Either<Incoming, OwnBody>;

/// Seconds after which a client may try again when no queue took its profile.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

const GRPC_STATUS: HeaderName = HeaderName::from_static(pyroscope_wire::grpc::STATUS);
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A gRPC message of no bytes.
const EMPTY_MESSAGE: Bytes = Bytes::from_static(&[0; 5]);

/// How the client of a request expects to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// `/ingest`: success has neither a body nor a type. The Go SDK accepts nothing but a 200.
    Ingest,
    /// Success is an empty message in this type.
    Message(&'static str),
    /// Status and text are trailers of a 200.
    Grpc,
}

impl Manner {
    /// The manner of a request on `surface`.
    pub fn of<B>(request: &Request<B>, surface: Surface) -> Self {
        let content_type = request
            .headers()
            .get(CONTENT_TYPE)
            .map(HeaderValue::as_bytes);
        let content_type = content_type.unwrap_or_default();
        match surface {
            _ if head::speaks_grpc(request.headers()) => Self::Grpc,
            Surface::Ingest => Self::Ingest,
            Surface::Push if content_type.starts_with(b"application/json") => Self::Message(JSON),
            Surface::Push => Self::Message("application/proto"),
            // In whatever type a client of OTLP writes, Pyroscope answers in this one.
            Surface::Otlp => Self::Message("application/x-protobuf"),
        }
    }

    /// The profile was taken: a 200, since some SDKs accept nothing else.
    pub fn taken(self) -> Response<OwnBody> {
        match self {
            Self::Ingest => own(StatusCode::OK, None, OwnBody::of(Bytes::new())),
            Self::Message(JSON) => own(StatusCode::OK, Some(JSON), OwnBody::of("{}".into())),
            Self::Message(kind) => own(StatusCode::OK, Some(kind), OwnBody::of(Bytes::new())),
            Self::Grpc => {
                let mut trailers = HeaderMap::new();
                trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
                let body = OwnBody {
                    data: Some(EMPTY_MESSAGE),
                    trailers: Some(trailers),
                };
                own(StatusCode::OK, Some("application/grpc"), body)
            }
        }
    }

    /// The profile was not taken. Over gRPC `status` has no place, and `code` tells all.
    pub fn error(self, status: StatusCode, code: RpcCode, message: &str) -> Response<OwnBody> {
        if self != Self::Grpc {
            return error(status, code, message);
        }
        let body = OwnBody::of(Bytes::new());
        let mut response = own(StatusCode::OK, Some("application/grpc"), body);
        let headers = response.headers_mut();
        headers.insert(
            GRPC_STATUS,
            HeaderValue::from(u16::from(code.grpc_status())),
        );
        if let Ok(message) = HeaderValue::from_str(message) {
            headers.insert(GRPC_MESSAGE, message);
        }
        response
    }

    /// No queue took the profile.
    pub fn overloaded(self, message: &str) -> Response<OwnBody> {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut response = self.error(status, RpcCode::Unavailable, message);
        response
            .headers_mut()
            .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        response
    }
}

/// An error as Pyroscope writes it: a connect code and a text, as JSON.
pub(crate) fn error(status: StatusCode, code: RpcCode, message: &str) -> Response<OwnBody> {
    own(
        status,
        Some(JSON),
        OwnBody::of(error_body(code, message).into()),
    )
}

fn own(status: StatusCode, content_type: Option<&'static str>, body: OwnBody) -> Response<OwnBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(kind) = content_type {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// A short body, with trailers if gRPC wants them.
#[derive(Debug)]
pub struct OwnBody {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl OwnBody {
    /// A text for people.
    pub fn text(text: &'static str) -> Response<Self> {
        own(
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

impl Body for OwnBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(
            data.or_else(|| self.trailers.take().map(Frame::trailers))
                .map(Ok),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}
