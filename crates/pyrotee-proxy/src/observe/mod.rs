//! Measures every request, and keeps the connection's clock informed.

mod body;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use pin_project_lite::pin_project;
use pyroscope_wire::Surface;
use tokio::time::Instant;
use tower::{Layer, Service};

use body::Owed;
pub(crate) use body::{ObservedBody, OwedBody};

use crate::client::Client;
use crate::head;
use crate::metrics::ProxyMetrics;

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

/// Counts the requests that pass to `inner`.
#[derive(Debug, Clone)]
pub(crate) struct Observe<S> {
    inner: S,
    metrics: Arc<ProxyMetrics>,
}

impl<S, B, R> Service<Request<B>> for Observe<S>
where
    S: Service<Request<OwedBody<B>>, Response = Response<R>>,
    B: Body,
{
    type Response = Response<ObservedBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let client = request.extensions().get::<Arc<Client>>().cloned();
        // A gRPC stream may be silent for as long as its two ends like.
        let owes = !request.body().is_end_stream() && !head::is_grpc(&request);
        if let Some(client) = &client {
            client.clock.begin(owes);
        }
        let owed = client.clone().filter(|_| owes).map(Owed::new);
        let surface = Surface::recognise(request.method().as_str(), request.uri().path());
        let guard = RequestGuard {
            client,
            metrics: self.metrics.clone(),
            surface,
            method: request.method().clone(),
            uri: request.uri().clone(),
            status: None,
            started: Instant::now(),
        };
        let request = request.map(|body| OwedBody::new(body, owed));
        ResponseFuture {
            inner: self.inner.call(request),
            guard: Some(guard),
        }
    }
}

/// A request from its head to the end of its answer.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    client: Option<Arc<Client>>,
    metrics: Arc<ProxyMetrics>,
    surface: Option<Surface>,
    method: Method,
    uri: Uri,
    status: Option<StatusCode>,
    started: Instant,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            client.clock.end();
        }
        // Without a status the client left before there was an answer: nginx' 499.
        let status = self
            .status
            .or_else(|| StatusCode::from_u16(499).ok())
            .unwrap_or_default();
        let took = self.started.elapsed();
        self.metrics.answered(self.surface, status, took);
        // The query stays out: a name is nobody's business, and may hold more than a name.
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
    /// The inner response, with the measurement going on in its body.
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
        Poll::Ready(Ok(response.map(|inner| ObservedBody::new(inner, guard))))
    }
}
