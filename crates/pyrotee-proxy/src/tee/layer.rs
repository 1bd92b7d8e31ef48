//! The layer that decides what is recorded.

use std::num::IntErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use pyroscope_wire::Surface;
use pyroscope_wire::encoding::{Encoding, Framing};
use pyroscope_wire::ingest::{self, Format};
use pyrotee_net::HOPS;
use pyrotee_queue::{Head, SurfaceId};
use tower::{Layer, Service};

use super::capture::{Capture, Outcome};
use super::recorder::{Recorder, Stake};
use super::response::{AnswerBody, ResponseFuture, Waiting};
use super::verdict::Verdict;
use super::{MAX_HOPS, TeeBody};
use crate::metrics::TeeResult;

/// The coding of the message in a gRPC frame.
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Puts a [`Tee`] in front of a service.
#[derive(Debug, Clone)]
pub(crate) struct TeeLayer {
    recorder: Option<Arc<Recorder>>,
}

impl TeeLayer {
    /// Without a recorder nothing is teed: a pure proxy.
    pub(crate) fn new(recorder: Option<Arc<Recorder>>) -> Self {
        Self { recorder }
    }
}

impl<S> Layer<S> for TeeLayer {
    type Service = Tee<S>;

    fn layer(&self, inner: S) -> Tee<S> {
        Tee {
            inner,
            recorder: self.recorder.clone(),
        }
    }
}

/// Records ingestion requests on their way to `inner`.
#[derive(Debug, Clone)]
pub(crate) struct Tee<S> {
    inner: S,
    recorder: Option<Arc<Recorder>>,
}

impl<S, B, R> Service<Request<B>> for Tee<S>
where
    S: Service<Request<TeeBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
{
    type Response = Response<AnswerBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let recording = match &self.recorder {
            Some(recorder) => recording(recorder, &request),
            None => Err(Outcome::Passed),
        };
        let (request, waiting) = match recording {
            Ok((capture, waiting)) => (
                request.map(|body| TeeBody::recording(body, capture)),
                waiting,
            ),
            Err(outcome) => (request.map(|body| TeeBody::passing(body, outcome)), None),
        };
        ResponseFuture::new(self.inner.call(request), waiting)
    }
}

/// The recording of a request, with what waits for the upstream's answer if it depends on that; or
/// why there is none.
fn recording<B: Body>(
    recorder: &Arc<Recorder>,
    request: &Request<B>,
) -> Result<(Capture, Option<Waiting>), Outcome> {
    let surface = Surface::recognise(request.method().as_str(), request.uri().path());
    let surface = surface.ok_or(Outcome::Passed)?;
    let headers = request.headers();
    let hops = hops(headers);
    if hops > MAX_HOPS {
        recorder.metrics.teed(TeeResult::Loop);
        return Err(Outcome::Loop);
    }
    let query = request.uri().query().unwrap_or_default();
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let written = Written::of(surface, query, content_type).ok_or_else(|| {
        recorder.metrics.teed(TeeResult::NotUnderstood);
        Outcome::NotUnderstood
    })?;
    let expected = request.body().size_hint().exact();
    recorder.metrics.ingested(surface, written.format, expected);
    if surface == Surface::Ingest
        && let Err(fault) = ingest::check_name(query)
    {
        return Ok((Capture::unnamed(recorder, fault), None));
    }
    let head = Head {
        surface: SurfaceId(surface.id()),
        query: query.into(),
        content_type: copy(headers, &CONTENT_TYPE),
        content_encoding: copy(headers, &written.coding),
        hops,
        received: SystemTime::now(),
    };
    let (suspicion, verdict) = match &recorder.stake {
        Stake::Nothing => (None, None),
        Stake::Offer => (None, Some(Verdict::new(recorder, None))),
        Stake::Repeats(repeats) => {
            let opening = repeats.opening(head.surface, query, expected);
            let verdict = Verdict::new(recorder, Some(opening));
            (repeats.suspect(opening), Some(verdict))
        }
    };
    let waiting = verdict.as_ref().map(Waiting::new);
    let capture = Capture::start(recorder, head, expected).awaiting(verdict, suspicion);
    Ok((capture, waiting))
}

/// How a profile is written, as its head says.
struct Written {
    /// The `format` label.
    format: &'static str,
    /// The header that names the coding of the body, or of the message in it.
    coding: HeaderName,
}

impl Written {
    /// `None` if no Pyroscope takes it on this surface.
    fn of(surface: Surface, query: &str, content_type: Option<&[u8]>) -> Option<Self> {
        if surface == Surface::Ingest {
            let content_type = content_type.and_then(|text| std::str::from_utf8(text).ok());
            let format = Format::of(query, content_type).as_str();
            return Some(Self {
                format,
                coding: CONTENT_ENCODING,
            });
        }
        let encoding = Encoding::of(surface, content_type)?;
        let coding = match encoding.framing() {
            Framing::Plain => CONTENT_ENCODING,
            Framing::Grpc => GRPC_ENCODING,
        };
        Some(Self {
            format: encoding.as_str(),
            coding,
        })
    }
}

/// Relays passed before this one. What is not a number was not written by a relay; a number that
/// is too large to count is too many.
fn hops(headers: &HeaderMap) -> u8 {
    let hops: Option<&str> = headers.get(&HOPS).and_then(|value| value.to_str().ok());
    match hops.map(|hops| hops.trim().parse::<u8>()) {
        Some(Ok(hops)) => hops,
        Some(Err(error)) if *error.kind() == IntErrorKind::PosOverflow => u8::MAX,
        Some(Err(_)) | None => 0,
    }
}

fn copy(headers: &HeaderMap, name: &HeaderName) -> Option<Box<[u8]>> {
    headers.get(name).map(|value| value.as_bytes().into())
}
