//! The HTTP clients of the upstream, which a change of its TLS replaces.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Uri};
use http_body::Body;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pyrotee_net::Connector;
use pyrotee_tls::ClientTls;
use tower::BoxError;

use super::grpc::GrpcClient;
use crate::head;
use crate::settings::UpstreamSettings;

/// Idle time after which a connection to the upstream is closed. Old Pyroscopes close idle connections after 30 s, so a
/// longer time would leave stale connections in the pool.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// Size of the buffers of a connection to the upstream, in bytes: it limits how much of a request waits to
/// be written, and the head of a response. hyper's default of 400 KiB per connection is outside of any budget.
const BUFFER_BYTES: usize = 64 * 1024;

/// The clients in force.
#[derive(Debug)]
pub(super) struct Clients<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    in_force: ArcSwap<Generation<B>>,
}

/// The clients of one value of TLS. Connections of an older generation are not used again: with its last request a
/// generation is dropped, and its idle connections are closed.
#[derive(Debug)]
struct Generation<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    connector: Connector,
    grpc_connector: Connector,
    origin: Uri,
    /// Time limit of connecting for gRPC.
    timeout: Duration,
    pool: Client<Connector, B>,
    grpc: Arc<GrpcClient<B>>,
}

impl<B> Clients<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Clients of `upstream`, over at most `max_connections` connections besides the one for gRPC.
    pub(super) fn new(upstream: &UpstreamSettings, max_connections: usize) -> Self {
        let counts = upstream.connector.counts();
        let first = Generation::new(
            upstream.connector.clone().limited(max_connections),
            upstream.grpc_connector.clone().counted_by(counts),
            upstream.origin.clone(),
            upstream.timeout,
        );
        Self {
            in_force: ArcSwap::from_pointee(first),
        }
    }

    /// Sends a request over a connection of the pool.
    pub(super) fn request(&self, request: Request<B>) -> ResponseFuture {
        self.in_force.load().pool.request(request)
    }

    /// The client for gRPC.
    pub(super) fn grpc(&self) -> Arc<GrpcClient<B>> {
        Arc::clone(&self.in_force.load().grpc)
    }

    /// TLS in force; `None`: the connectors never use TLS.
    pub(super) fn tls(&self) -> Option<ClientTls> {
        self.in_force.load().connector.tls().cloned()
    }

    /// Puts `tls` in force for requests that begin from now on; an equal value changes nothing.
    pub(super) fn set_tls(&self, tls: &ClientTls) {
        let old = self.in_force.load();
        if old.connector.tls() != Some(tls) {
            // Connections of both generations share counts and limit.
            let new = Generation::new(
                old.connector.with_tls(tls.clone()),
                old.grpc_connector.with_tls(tls.clone()),
                old.origin.clone(),
                old.timeout,
            );
            self.in_force.store(Arc::new(new));
        }
    }
}

impl<B> Generation<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn new(
        connector: Connector,
        grpc_connector: Connector,
        origin: Uri,
        timeout: Duration,
    ) -> Self {
        let pool = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http1_preserve_header_case(true)
            .http1_max_headers(head::MAX_FIELDS)
            .http1_max_buf_size(BUFFER_BYTES)
            .build(connector.clone());
        let grpc = GrpcClient::new(grpc_connector.clone(), origin.clone(), timeout);
        Self {
            connector,
            grpc_connector,
            origin,
            timeout,
            pool,
            grpc: Arc::new(grpc),
        }
    }
}
