//! Forwards a request to the upstream and the response to the client, streaming both.

mod clients;
mod error;
mod grpc;
mod kept_body;
mod limits;
mod linger;
mod replay;
mod upgrade;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use pyrotee_net::ExchangeError;
use pyrotee_net::server::GuardBody;
use pyrotee_tls::ClientTls;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::client::RequestContext;
use crate::head;
use crate::metrics::ProxyMetrics;
use crate::settings::UpstreamSettings;
use crate::tee::LocalRequestBody;
use crate::upstream_limit::UpstreamLimit;
use crate::upstream_monitor::UpstreamMonitor;

use clients::Clients;
pub(crate) use error::RelayError;
use error::{ForwardError, MAX_PROXIES};
use limits::RequestPermits;
pub(crate) use limits::UpstreamPermit;
pub(crate) use linger::BackgroundReader;
use linger::LingerBody;
use replay::{ReplayBody, ReplayHandle};

/// Pause before a request looks for a connection again, after no connection was idle and none could be opened.
const POOL_FULL_PAUSE: Duration = Duration::from_millis(10);

/// The body of a request to the upstream.
type UpstreamBody<B> = ReplayBody<LingerBody<B>>;

/// Observes the upload of an [`UpstreamBody`].
type Upload<B> = ReplayHandle<LingerBody<B>>;

/// The body of a response of the upstream. It holds the request's permit.
pub(crate) type UpstreamResponseBody = GuardBody<Incoming, UpstreamPermit>;

/// Changes the TLS of the connections to the upstream while the proxy runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct UpstreamTlsHandle {
    clients: Arc<Clients<UpstreamBody<LocalRequestBody>>>,
}

impl UpstreamTlsHandle {
    /// Puts `tls` in force for requests that begin from now on; requests in flight go on. Connections with the TLS before
    /// are not used again, and count against the same limit until they are closed. An equal value changes nothing.
    pub fn set(&self, tls: &ClientTls) {
        self.clients.set_tls(tls);
    }

    /// TLS in force, whose observer knows what the upstream shows. `None`: the connectors never use TLS.
    pub fn tls(&self) -> Option<ClientTls> {
        self.clients.tls()
    }
}

impl Forward<LocalRequestBody> {
    /// A handle that changes the TLS of the connections.
    pub(crate) fn tls_handle(&self) -> UpstreamTlsHandle {
        UpstreamTlsHandle {
            clients: Arc::clone(&self.clients),
        }
    }
}

/// Forwards requests to the upstream.
#[derive(Debug)]
pub(crate) struct Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<tower::BoxError>,
{
    clients: Arc<Clients<UpstreamBody<B>>>,
    permits: RequestPermits,
    origin: Uri,
    timeout: Duration,
    forwarded_headers: bool,
    background_reader: Arc<BackgroundReader>,
    tunnels: TaskTracker,
    metrics: Arc<ProxyMetrics>,
    pub(crate) monitor: UpstreamMonitor,
}

impl<B> Forward<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<tower::BoxError>,
{
    /// Forwards to `upstream`, over at most `max_connections` connections besides the one for gRPC.
    pub(crate) fn new(
        upstream: UpstreamSettings,
        max_connections: usize,
        background_reader: Arc<BackgroundReader>,
        metrics: Arc<ProxyMetrics>,
    ) -> Self {
        Self {
            clients: Arc::new(Clients::new(&upstream, max_connections)),
            permits: RequestPermits::new(max_connections),
            monitor: UpstreamMonitor::new(&upstream.origin),
            origin: upstream.origin,
            timeout: upstream.timeout,
            forwarded_headers: upstream.forwarded_headers,
            background_reader,
            // Shutdown does not wait for tunnels: a WebSocket may stay open for ever.
            tunnels: TaskTracker::new(),
            metrics,
        }
    }

    /// Forwards `request` and returns as soon as the head of the response has arrived, even if the
    /// request's body is not complete yet. If the upstream stops reading, at most `max_rest_bytes` of the body are still
    /// read.
    pub(crate) async fn relay(
        &self,
        mut request: Request<B>,
        max_rest_bytes: u64,
    ) -> Result<Response<UpstreamResponseBody>, RelayError> {
        let version = request.version();
        let grpc = head::is_grpc(&request);
        let takes_grpc_trailers = head::takes_grpc_trailers(&request);
        head::prepare_request(&mut request);
        if self.forwarded_headers && head::has_passed_proxies(request.headers(), MAX_PROXIES) {
            // A client that is still sending would not see the response.
            let body = request.into_body();
            self.background_reader.read_rest(body, max_rest_bytes);
            return Err(self.relay_error(ForwardError::Loop));
        }
        self.add_forwarded(&mut request);
        let uri = head::upstream_uri(request.method(), request.uri(), &self.origin)
            .ok_or_else(|| self.relay_error(ForwardError::Unsupported))?;
        // The tee needs the whole body, and some clients stop sending when they see an error. A body that is larger than
        // what is read is not waited for: its client would be cut off before it sees the response.
        let waits_for_rest = RequestContext::surface_of(&request).is_some()
            && request.body().size_hint().lower() <= max_rest_bytes;
        let mut request = request.map(|body| self.wrap(body, max_rest_bytes));
        let upload = request.body().handle();
        let sent = if grpc {
            let client = self.clients.grpc();
            // Boxed, because the handshake would make the future of every request larger.
            Box::pin(client.send(request, &uri)).await
        } else {
            *request.uri_mut() = uri;
            self.send(request, &upload).await
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => {
                let error = self.failed(error, &upload);
                if waits_for_rest && let Some(rest) = upload.with_inner(LingerBody::take_rest) {
                    Box::pin(rest).await;
                }
                return Err(error);
            }
        };
        self.monitor.responded();
        head::prepare_response(&mut response, version);
        if takes_grpc_trailers {
            head::declare_grpc_trailers(&mut response);
        }
        Ok(response)
    }

    async fn send(
        &self,
        mut request: Request<UpstreamBody<B>>,
        upload: &Upload<B>,
    ) -> Result<Response<UpstreamResponseBody>, ForwardError> {
        *request.version_mut() = Version::HTTP_11;
        let client = head::requested_upgrade(request.headers())
            .and_then(|_| request.extensions_mut().remove::<OnUpgrade>());
        let permit = self.permits.request(self.timeout).await?;
        upload.restart();
        let exchange = self.send_again_if_stale(request, upload);
        let mut response = tokio::select! {
            biased;
            response = exchange => response?,
            () = upload.stalled(self.timeout) => return Err(ForwardError::Timeout(self.timeout)),
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response.map(|body| GuardBody::new(body, Some(permit))));
        }
        let client = client.ok_or(ForwardError::UnaskedSwitch)?;
        let permits = [permit, self.permits.tunnel()?];
        upgrade::tunnel(client, &mut response, permits, &self.tunnels);
        Ok(response.map(|body| GuardBody::new(body, None)))
    }

    /// Sends `request`, and sends it again if the connection was stale and the body can be replayed. An idempotent
    /// request is also sent again, once, if the upstream may have received it, which RFC 9110 §9.2.2 allows.
    async fn send_again_if_stale(
        &self,
        mut request: Request<UpstreamBody<B>>,
        upload: &Upload<B>,
    ) -> Result<Response<Incoming>, ForwardError> {
        let size = request.body().size_hint();
        let mut may_be_doubled = request.method().is_idempotent();
        let mut full_since = None;
        let (parts, body) = request.into_parts();
        let again = parts.clone();
        request = Request::from_parts(parts, body);
        // This loop ends: each attempt takes a kept connection out of the pool, and a new one is never stale.
        loop {
            let error = match self.clients.request(request).await {
                Ok(response) => return Ok(response),
                Err(error) => ExchangeError::pooled(&error, upload.is_taken()),
            };
            if error.is_limit() {
                // This request has a permit, so one of the open connections is not in use any more: it
                // is about to close, to become idle, or to be opened.
                let since = *full_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.timeout {
                    return Err(ForwardError::Saturated(UpstreamLimit::Connections));
                }
                sleep(POOL_FULL_PAUSE).await;
            } else if error.is_stale() || error.is_unanswered() && mem::take(&mut may_be_doubled) {
                self.metrics.upstream_retries.increment(1);
            } else {
                return Err(error.into());
            }
            let Some(body) = upload.replay(size) else {
                return Err(error.into());
            };
            request = Request::from_parts(again.clone(), body);
        }
    }

    /// Counts and logs a failed exchange with the upstream. If the request's body failed, returns the client's fault
    /// instead: the upstream could not get the request.
    fn failed(&self, error: ForwardError, upload: &Upload<B>) -> RelayError {
        let error = upload.client_fault().map_or(error, ForwardError::Client);
        if let ForwardError::Saturated(limit) = error {
            self.metrics.upstream_limit(limit);
            self.monitor.saturated(limit);
        }
        if let Some((kind, remedy)) = error.kind().zip(error.remedy()) {
            self.metrics.upstream_error(kind);
            self.monitor.failed(kind, error.cause(), remedy);
        }
        self.relay_error(error)
    }

    fn relay_error(&self, error: ForwardError) -> RelayError {
        let upstream = self.monitor.clone();
        RelayError { error, upstream }
    }

    fn wrap(&self, body: B, max_rest_bytes: u64) -> UpstreamBody<B> {
        let reader = Arc::clone(&self.background_reader);
        ReplayBody::new(LingerBody::new(body, reader, max_rest_bytes))
    }

    fn add_forwarded(&self, request: &mut Request<B>) {
        let client = RequestContext::of(request).map(|context| &context.client);
        // A request of the relay itself has passed no proxy.
        let client = client.and_then(|client| Some((client.peer.address()?, client.is_tls)));
        if let Some((peer, is_tls)) = client.filter(|_| self.forwarded_headers) {
            head::add_forwarded(request.headers_mut(), peer.ip(), is_tls);
        }
        // HTTP/1.0 allows requests without Host, and some clients of HTTP/1.1 leave it out, too.
        if !request.headers().contains_key(http::header::HOST)
            && let Some(host) = self.origin.authority()
            && let Ok(host) = HeaderValue::from_str(host.as_str())
        {
            request.headers_mut().insert(http::header::HOST, host);
        }
    }
}
