//! The layer that decides which requests are captured.

use std::num::IntErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use pyroscope_wire::Surface;
use pyroscope_wire::encoding::{Encoding, Framing};
use pyroscope_wire::ingest::{self, Format};
use pyrotee_dedup::ClientId;
use pyrotee_net::HOPS;
use pyrotee_queue::{Head, Headers, SurfaceId, receipt_time};
use tower::{Layer, Service};

use super::capture::{Capture, CaptureEnd};
use super::policy::Policies;
use super::recorder::{Recorder, ResponsePolicy};
use super::response::{ResponseFuture, TeeResponseBody, VerdictGuard};
use super::verdict::Verdict;
use super::{MAX_HOPS, TeeBody};
use crate::client::{RequestContext, Source};
use crate::head::first_forwarded_for;
use crate::metrics::TeeResult;

/// Puts a [`Tee`] in front of a service.
#[derive(Debug, Clone)]
pub(crate) struct TeeLayer {
    policies: Arc<Policies>,
}

impl TeeLayer {
    /// A layer that captures ingestion requests as the policy in force says.
    pub(crate) fn new(policies: Arc<Policies>) -> Self {
        Self { policies }
    }
}

impl<S> Layer<S> for TeeLayer {
    type Service = Tee<S>;

    fn layer(&self, inner: S) -> Tee<S> {
        Tee {
            inner,
            policies: Arc::clone(&self.policies),
        }
    }
}

/// Captures ingestion requests on their way to `inner`.
#[derive(Debug, Clone)]
pub(crate) struct Tee<S> {
    inner: S,
    policies: Arc<Policies>,
}

impl<S, B, R> Service<Request<B>> for Tee<S>
where
    S: Service<Request<TeeBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
{
    type Response = Response<TeeResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Loaded once: body and capture keep what they need of the policy to the end of the request.
        let policy = self.policies.load();
        let capture = match &policy.recorder {
            Some(recorder) => start_capture(recorder, &request),
            None => Err(CaptureEnd::NotRecorded),
        };
        let local = policy.local;
        drop(policy);
        let (request, guard) = match capture {
            Ok((capture, guard)) => {
                let request = request.map(|body| TeeBody::recording(body, capture, local));
                (request, guard)
            }
            Err(end) => (request.map(|body| TeeBody::passing(body, end, local)), None),
        };
        ResponseFuture::new(self.inner.call(request), guard)
    }
}

/// Starts the capture of a request, with a guard if the capture depends on the upstream's response.
/// Returns an error if the request is not to be captured.
fn start_capture<B: Body>(
    recorder: &Arc<Recorder>,
    request: &Request<B>,
) -> Result<(Capture, Option<VerdictGuard>), CaptureEnd> {
    let Some(surface) = RequestContext::surface_of(request) else {
        recorder.tee.lookalikes.see(request);
        return Err(CaptureEnd::NotRecorded);
    };
    let headers = request.headers();
    let hops = hops(headers);
    if hops > MAX_HOPS {
        recorder.tee.metrics.tee_result(TeeResult::Loop);
        return Err(CaptureEnd::Loop);
    }
    let query = request.uri().query().unwrap_or_default();
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let format = BodyFormat::of(surface, query, content_type).ok_or_else(|| {
        recorder.tee.metrics.tee_result(TeeResult::NotUnderstood);
        CaptureEnd::NotUnderstood
    })?;
    let expected = request.body().size_hint().exact();
    let metrics = &recorder.tee.metrics;
    let client = RequestContext::of(request).map(|context| &context.client);
    let source = client.map_or(Source::Pushed, |client| client.peer.source());
    metrics.ingested(source, surface, format.label, expected);
    if surface == Surface::Ingest
        && let Err(fault) = ingest::check_name(query)
    {
        return Ok((Capture::with_invalid_name(recorder, fault), None));
    }
    let head = Head {
        surface: SurfaceId(surface.id()),
        query: query.into(),
        content_type: copy(headers, CONTENT_TYPE.as_str()),
        content_encoding: copy(headers, format.coding_header),
        headers: meaning_headers(surface, headers),
        hops,
        received: receipt_time(),
        captor_tags: None,
    };
    let key = match &recorder.response_policy {
        // The relay itself does not retry.
        ResponsePolicy::FilterRetries(filter) => client.and_then(|client| {
            let client = ClientId::new(first_forwarded_for(headers), client.peer.address()?);
            filter.start_key(request, surface, &client)
        }),
        _ => None,
    };
    let verdict = match &recorder.response_policy {
        ResponsePolicy::Ignore | ResponsePolicy::CheckFirst(_) => None,
        ResponsePolicy::OfferOnSuccess => Some(Verdict::new(recorder)),
        ResponsePolicy::FilterRetries(_) => key.as_ref().map(|_| Verdict::new(recorder)),
    };
    let client = key.as_ref().and(client).map(Arc::clone);
    let guard = verdict
        .as_ref()
        .map(|verdict| VerdictGuard::new(verdict, client));
    let capture = Capture::start(recorder, head, expected).with_verdict(verdict, key);
    Ok((capture, guard))
}

/// How the head of a request describes its body.
struct BodyFormat {
    /// The `format` label of the metrics.
    label: &'static str,
    /// The header that names the compression of the body, or of the gRPC message in it.
    coding_header: &'static str,
}

impl BodyFormat {
    /// Returns the format of a body; `None` if Pyroscope does not accept `content_type` on this surface.
    fn of(surface: Surface, query: &str, content_type: Option<&[u8]>) -> Option<Self> {
        if surface == Surface::Ingest {
            let content_type = content_type.and_then(|text| std::str::from_utf8(text).ok());
            let label = Format::of(query, content_type).as_str();
            return Some(Self {
                label,
                coding_header: Framing::Plain.coding_header(),
            });
        }
        let encoding = Encoding::of(surface, content_type)?;
        Some(Self {
            label: encoding.as_str(),
            coding_header: encoding.framing().coding_header(),
        })
    }
}

/// Returns the number of relays that the request has passed: 0 if the header is no number, because relays write only
/// numbers, and 255 if the number is larger than 255.
fn hops(headers: &HeaderMap) -> u8 {
    let hops: Option<&str> = headers.get(&HOPS).and_then(|value| value.to_str().ok());
    match hops.map(|hops| hops.trim().parse::<u8>()) {
        Some(Ok(hops)) => hops,
        Some(Err(error)) if *error.kind() == IntErrorKind::PosOverflow => u8::MAX,
        Some(Err(_)) | None => 0,
    }
}

/// Copies the headers that give the body its meaning. Of several fields with one name, the first counts, as on a
/// server.
fn meaning_headers(surface: Surface, headers: &HeaderMap) -> Headers {
    let names = surface.meaning_headers().iter();
    names
        .filter_map(|name| Some((*name, headers.get(*name)?.as_bytes())))
        .collect()
}

fn copy(headers: &HeaderMap, name: &str) -> Option<Box<[u8]>> {
    headers.get(name).map(|value| value.as_bytes().into())
}
