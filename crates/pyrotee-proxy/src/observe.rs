//! Measures every request, reports its start and end to the connection's timeouts, and limits its upload.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use pin_project_lite::pin_project;
use pyrotee_net::server::{BodyGuard, GuardBody};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

use crate::client::{RequestContext, UploadBody};
use crate::head;
use crate::metrics::ProxyMetrics;

/// A response's body. The request ends with the last frame of the body.
pub(crate) type ObservedBody<B> = GuardBody<B, RequestGuard>;

/// Puts an [`Observe`] in front of a service.
#[derive(Debug, Clone)]
pub(crate) struct ObserveLayer {
    pub(crate) metrics: Arc<ProxyMetrics>,
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            metrics: self.metrics.clone(),
        }
    }
}

/// Counts and times the requests to `inner`.
#[derive(Debug, Clone)]
pub(crate) struct Observe<S> {
    inner: S,
    metrics: Arc<ProxyMetrics>,
}

impl<S, B, R> Service<Request<B>> for Observe<S>
where
    S: Service<Request<UploadBody<B>>, Response = Response<R>>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<ObservedBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let context = RequestContext::of(&request).cloned();
        if let Some(context) = &context {
            context.client.timeouts.request_started();
        }
        let upload = context.as_ref().filter(|context| {
            // A gRPC stream may be silent for any time. An ingestion request is no such stream.
            let may_be_silent = context.surface.is_none() && head::is_grpc(&request);
            !request.body().is_end_stream() && !may_be_silent
        });
        let upload = upload.map(|context| context.client.begin_upload());
        let guard = RequestGuard {
            context,
            metrics: self.metrics.clone(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            status: None,
            started: Instant::now(),
        };
        let request = request.map(|body| UploadBody::new(body, upload, &self.metrics));
        ResponseFuture {
            inner: self.inner.call(request),
            guard: Some(guard),
        }
    }
}

/// A request in flight. Dropping the guard counts the request and ends it for the connection.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    context: Option<RequestContext>,
    metrics: Arc<ProxyMetrics>,
    method: Method,
    uri: Uri,
    /// The response's status; `None` until there is a response.
    status: Option<StatusCode>,
    started: Instant,
}

impl BodyGuard for RequestGuard {}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if let Some(context) = &self.context {
            context.client.timeouts.request_ended();
        }
        // Without a status the client left before there was a response: nginx' 499.
        let status = self
            .status
            .or_else(|| StatusCode::from_u16(499).ok())
            .unwrap_or_default();
        let surface = self.context.as_ref().and_then(|context| context.surface);
        let took = self.started.elapsed();
        self.metrics.request_ended(surface, status, took);
        // Without the query: the name in it may hold private data.
        tracing::debug!(
            method = %self.method,
            path = self.uri.path(),
            status = status.as_u16(),
            ?took,
            "request"
        );
    }
}

pin_project! {
    /// Resolves to the inner response, whose body takes over the guard of the request.
    #[derive(Debug)]
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        guard: Option<RequestGuard>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ObservedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let mut guard = this.guard.take();
        if let Some(guard) = &mut guard {
            guard.status = Some(response.status());
        }
        Poll::Ready(Ok(response.map(|inner| GuardBody::new(inner, guard))))
    }
}
