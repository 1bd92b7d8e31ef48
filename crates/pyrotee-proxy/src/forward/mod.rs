//! Hands a request to the local upstream and its answer to the client, both as they stream.

mod error;
mod grpc;
mod linger;
mod replay;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pyrotee_net::{Connector, ExchangeError};
use tokio_util::task::TaskTracker;

use crate::client;
use crate::head;
use crate::metrics::ProxyMetrics;
use crate::settings::Upstream;

pub(crate) use error::ForwardError;
use error::MAX_PROXIES;
use grpc::GrpcClient;
pub(crate) use linger::{LingerBody, Lingering};
use replay::ReplayBody;

/// Idle connections to the upstream are given up before it does: old Pyroscopes close at 30 s.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// So many bytes of a request wait to be written to the upstream before no more of it is taken, and a
/// head that comes back has at most. By itself hyper holds 400 KiB for each connection, which no budget sees.
const BUFFERED: usize = 64 * 1024;

/// What goes to the upstream: repeatable while short, read to its end in any case.
type UpstreamBody<B> = ReplayBody<LingerBody<B>>;

/// Where requests go.
#[derive(Debug)]
pub(crate) struct Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    client: Client<Connector, UpstreamBody<B>>,
    grpc: GrpcClient<UpstreamBody<B>>,
    origin: Uri,
    timeout: Duration,
    forwarded_headers: bool,
    lingering: Arc<Lingering>,
    tunnels: TaskTracker,
    metrics: Arc<ProxyMetrics>,
}

/// What [`Forward::new`] needs.
#[derive(Debug)]
pub(crate) struct ForwardSettings {
    pub(crate) upstream: Upstream,
    pub(crate) lingering: Arc<Lingering>,
    pub(crate) metrics: Arc<ProxyMetrics>,
}

impl<B> Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<tower::BoxError>,
{
    pub(crate) fn new(settings: ForwardSettings) -> Self {
        let ForwardSettings {
            upstream,
            lingering,
            metrics,
        } = settings;
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http1_preserve_header_case(true)
            .http1_max_headers(head::MAX_FIELDS)
            .http1_max_buf_size(BUFFERED)
            .build(upstream.connector.clone());
        Self {
            client,
            grpc: GrpcClient::new(upstream.connector, upstream.origin.clone()),
            origin: upstream.origin,
            timeout: upstream.timeout,
            forwarded_headers: upstream.forwarded_headers,
            lingering,
            // Not waited for: a WebSocket has no end of its own, and is cut when the process ends.
            tunnels: TaskTracker::new(),
            metrics,
        }
    }

    /// Relays `request`, whose body may still be on its way, and returns as soon as the upstream's
    /// head is there.
    pub(crate) async fn relay(
        &self,
        mut request: Request<B>,
    ) -> Result<Response<Incoming>, ForwardError> {
        let version = request.version();
        let grpc = head::is_grpc(&request);
        head::prepare_request(&mut request);
        if self.forwarded_headers && head::proxies(request.headers()) >= MAX_PROXIES {
            // Whoever is still sending shall see the answer.
            drop(self.wrap(request.into_body()));
            return Err(ForwardError::Loop);
        }
        self.add_forwarded(&mut request);
        let uri = head::upstream_uri(request.method(), request.uri(), &self.origin)
            .ok_or(ForwardError::Unsupported)?;
        let mut response = if grpc {
            // In a box: its handshake would make room in every request for what few of them need.
            Box::pin(self.grpc.send(request.map(|body| self.wrap(body)), &uri)).await
        } else {
            *request.uri_mut() = uri;
            self.send(request).await
        }
        .inspect_err(|error| {
            if let Some(kind) = error.kind() {
                self.metrics.upstream_error(kind);
            }
        })?;
        head::prepare_response(&mut response, version);
        Ok(response)
    }

    async fn send(&self, mut request: Request<B>) -> Result<Response<Incoming>, ForwardError> {
        *request.version_mut() = Version::HTTP_11;
        let tunnel = head::upgrade(request.headers())
            .and_then(|_| request.extensions_mut().remove::<OnUpgrade>());
        let request = request.map(|body| self.wrap(body));
        if let Some(client) = tunnel {
            // Neither side is bound to say anything before both have switched.
            let response = self
                .client
                .request(request)
                .await
                .map_err(|e| ExchangeError::from(&e))?;
            return Ok(upgrade::tunnel(client, response, &self.tunnels));
        }
        self.send_twice_if_stale(request).await
    }

    /// One exchange; a second one if the first met a kept-alive connection that the upstream had
    /// already closed, and the body is still at hand.
    async fn send_twice_if_stale(
        &self,
        request: Request<UpstreamBody<B>>,
    ) -> Result<Response<Incoming>, ForwardError> {
        let progress = request.body().progress();
        let size = request.body().size_hint();
        let (parts, body) = request.into_parts();
        let again = parts.clone();
        let exchange = async {
            let first = self.client.request(Request::from_parts(parts, body)).await;
            let fault = match first {
                Ok(response) => return Ok(response),
                Err(error) => ExchangeError::from(&error),
            };
            let body = progress
                .replay(size)
                .filter(|_| fault.is_stale())
                .ok_or(fault)?;
            self.metrics.upstream_retries.increment(1);
            let second = self.client.request(Request::from_parts(again, body)).await;
            second.map_err(|error| ExchangeError::from(&error))
        };
        tokio::select! {
            biased;
            result = exchange => Ok(result?),
            () = progress.stalled(self.timeout) => Err(ForwardError::Timeout(self.timeout)),
        }
    }

    fn wrap(&self, body: B) -> UpstreamBody<B> {
        ReplayBody::new(LingerBody::new(body, Arc::clone(&self.lingering)))
    }

    fn add_forwarded(&self, request: &mut Request<B>) {
        let client = request.extensions().get::<Arc<client::Client>>();
        let peer = client.map(|client| client.peer.ip());
        if let Some(peer) = peer.filter(|_| self.forwarded_headers) {
            head::add_forwarded(request.headers_mut(), peer);
        }
        // HTTP/1.0 knows requests without a host; nobody else does.
        if !request.headers().contains_key(http::header::HOST)
            && let Some(host) = self.origin.authority()
            && let Ok(host) = HeaderValue::from_str(host.as_str())
        {
            request.headers_mut().insert(http::header::HOST, host);
        }
    }
}
