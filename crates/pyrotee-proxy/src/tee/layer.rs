//! The layer that decides what is recorded.

use std::future::Future;
use std::num::IntErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use pyroscope_wire::Surface;
use pyroscope_wire::ingest::{self, Format};
use pyrotee_queue::{Head, SurfaceId};
use tower::{Layer, Service};

use super::capture::Capture;
use super::recorder::Recorder;
use super::verdict::Verdict;
use super::{HOPS, MAX_HOPS, TeeBody};
use crate::metrics::TeeResult;

/// Which profiles are teed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeeOn {
    /// All that arrive whole, whatever the upstream answers.
    Always,
    /// Those that the upstream answered with 2xx.
    UpstreamSuccess,
}

/// Puts a [`Tee`] in front of a service.
#[derive(Debug, Clone)]
pub(crate) struct TeeLayer {
    recorder: Option<Arc<Recorder>>,
    on: TeeOn,
}

impl TeeLayer {
    /// Without a recorder nothing is teed: a pure proxy.
    pub(crate) fn new(recorder: Option<Arc<Recorder>>, on: TeeOn) -> Self {
        Self { recorder, on }
    }
}

impl<S> Layer<S> for TeeLayer {
    type Service = Tee<S>;

    fn layer(&self, inner: S) -> Tee<S> {
        Tee {
            inner,
            recorder: self.recorder.clone(),
            on: self.on,
        }
    }
}

/// Records ingestion requests on their way to `inner`.
#[derive(Debug, Clone)]
pub(crate) struct Tee<S> {
    inner: S,
    recorder: Option<Arc<Recorder>>,
    on: TeeOn,
}

impl<S, B, R> Service<Request<B>> for Tee<S>
where
    S: Service<Request<TeeBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut waiting = None;
        let capture = self.recorder.as_ref().and_then(|recorder| {
            let surface = recognise(&request)?;
            let expected = request.body().size_hint().exact();
            let verdict = (self.on == TeeOn::UpstreamSuccess).then(Arc::<Verdict>::default);
            let capture = capture(recorder, verdict.clone(), surface, &request, expected)?;
            waiting = verdict.map(|verdict| Waiting {
                recorder: Arc::clone(recorder),
                verdict,
            });
            Some(capture)
        });
        let request = request.map(|body| match capture {
            Some(capture) => TeeBody::recording(body, capture),
            None => TeeBody::passing(body),
        });
        ResponseFuture {
            inner: self.inner.call(request),
            waiting,
        }
    }
}

fn recognise<B>(request: &Request<B>) -> Option<Surface> {
    Surface::recognise(request.method().as_str(), request.uri().path())
}

/// The recording of a request on `surface`; `None` if it has come round a ring of relays.
fn capture<B>(
    recorder: &Arc<Recorder>,
    verdict: Option<Arc<Verdict>>,
    surface: Surface,
    request: &Request<B>,
    expected: Option<u64>,
) -> Option<Capture> {
    let headers = request.headers();
    let hops = hops(headers);
    if hops > MAX_HOPS {
        recorder.metrics.teed(TeeResult::Loop);
        return None;
    }
    let query = request.uri().query().unwrap_or_default();
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    recorder
        .metrics
        .body(Format::of(query, content_type), expected);
    if let Err(fault) = ingest::check_name(query) {
        return Some(Capture::unnamed(recorder, fault));
    }
    let head = Head {
        surface: SurfaceId(surface.id()),
        query: query.into(),
        content_type: copy(headers, &CONTENT_TYPE),
        content_encoding: copy(headers, &CONTENT_ENCODING),
        hops,
        received: SystemTime::now(),
    };
    Some(Capture::start(recorder, verdict, head, expected))
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

#[derive(Debug)]
struct Waiting {
    recorder: Arc<Recorder>,
    verdict: Arc<Verdict>,
}

impl Waiting {
    fn answered(&self, success: bool) {
        self.verdict.answered(&self.recorder, success);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // A client that left before the answer: no success is known.
        self.answered(false);
    }
}

pin_project! {
    /// The inner response, looked at if the tee depends on it.
    #[derive(Debug)]
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        waiting: Option<Waiting>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Some(waiting) = this.waiting.take() {
            waiting.answered(
                result
                    .as_ref()
                    .is_ok_and(|response| response.status().is_success()),
            );
        }
        Poll::Ready(result)
    }
}
