//! Builds the proxy from its settings and runs it.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_net::ConnectionCounts;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::forward::{BackgroundReader, Forward, UpstreamTlsHandle};
use crate::listener::{self, Entrance, Listener, Pipes};
use crate::metrics::ProxyMetrics;
use crate::settings::Settings;
use crate::stack::{self, LocalEndpoint};
use crate::tee::{Policies, PolicyHandle, TeeLayer, TeeState};
use crate::upstream_monitor::UpstreamMonitor;

/// The proxy: its address is bound, and [`Proxy::run`] serves requests.
#[derive(Debug)]
pub struct Proxy {
    listener: Listener,
    pipes: Pipes,
    policies: Arc<Policies>,
    upstream_tls: Option<UpstreamTlsHandle>,
    address: SocketAddr,
    entrance: Entrance,
    gauges: Gauges,
    upstream: Option<UpstreamMonitor>,
}

/// Numbers of open connections, for the scrape.
#[derive(Debug, Clone)]
pub struct Gauges {
    permits: Arc<Semaphore>,
    max_connections: usize,
    connections: Option<ConnectionCounts>,
}

impl Gauges {
    /// Returns the number of client connections.
    pub fn client_connections(&self) -> usize {
        self.max_connections
            .saturating_sub(self.permits.available_permits())
    }

    /// Returns the maximum number of client connections.
    pub fn max_client_connections(&self) -> usize {
        self.max_connections
    }

    /// Returns the number of connections to the upstream; 0 if there is no upstream.
    pub fn upstream_connections(&self) -> u64 {
        self.connections.as_ref().map_or(0, ConnectionCounts::open)
    }
}

impl Proxy {
    /// Builds the request path for the clients of a listening socket, which [`pyrotee_net::bind`] returns with its
    /// address. Background tasks run on `runtime`. Cancelling `drain` stops accepting connections and closes each after
    /// its current request.
    pub fn new(
        (socket, address): (TcpListener, SocketAddr),
        settings: Settings,
        runtime: Handle,
        drain: CancellationToken,
    ) -> Self {
        let metrics = ProxyMetrics::new();
        let tasks = TaskTracker::new();
        let max_connections = listener::max_connections();
        let permits = Arc::new(Semaphore::new(max_connections));
        let connections = settings
            .upstream
            .as_ref()
            .map(|upstream| upstream.connector.counts().clone());
        let gauges = Gauges {
            permits: Arc::clone(&permits),
            max_connections,
            connections,
        };

        let tee = TeeState::new(settings.producer, settings.budget, metrics.clone());
        let policies = Policies::new(
            settings.local_writes,
            settings.tee.as_ref(),
            tee,
            drain.clone(),
        );
        let background_reader = Arc::new(BackgroundReader {
            tasks: tasks.clone(),
            runtime,
            max_time: settings
                .upstream
                .as_ref()
                .map_or(Duration::from_secs(60), |u| u.timeout),
            metrics: metrics.clone(),
        });
        let forward = settings.upstream.map(|upstream| {
            // Half of the file descriptors is for clients, the other half for the upstream.
            let configured = upstream.max_connections.map(NonZeroUsize::get);
            let max_connections = configured.unwrap_or(max_connections).min(max_connections);
            let background_reader = Arc::clone(&background_reader);
            Forward::new(
                upstream,
                max_connections,
                background_reader,
                metrics.clone(),
            )
        });
        let upstream = forward.as_ref().map(|forward| forward.monitor.clone());
        let upstream_tls = forward.as_ref().map(Forward::tls_handle);
        let endpoint = LocalEndpoint {
            forward,
            background_reader,
            metrics: metrics.clone(),
        };
        let stack = stack::build(
            endpoint,
            TeeLayer::new(Arc::clone(&policies)),
            metrics.clone(),
        );
        let (entrance, pipes) = listener::entrance();
        let listener = Listener {
            socket,
            tls: settings.listen_tls,
            stack,
            permits,
            metrics,
            tasks,
            drain,
        };
        Self {
            listener,
            pipes,
            policies,
            upstream_tls,
            address,
            entrance,
            gauges,
            upstream,
        }
    }

    /// Returns the bound address, with the actual port if the configured one was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the entrance for requests of the relay itself.
    pub fn entrance(&self) -> Entrance {
        self.entrance.clone()
    }

    /// Returns the numbers of open connections.
    pub fn gauges(&self) -> Gauges {
        self.gauges.clone()
    }

    /// Returns a handle that shows whether the upstream responds; `None` if there is no upstream.
    pub fn upstream_monitor(&self) -> Option<UpstreamMonitor> {
        self.upstream.clone()
    }

    /// Returns a handle that changes what the proxy does with ingestion requests.
    pub fn policy(&self) -> PolicyHandle {
        self.policies.handle()
    }

    /// Returns a handle that changes the TLS of the connections to the upstream; `None` if there is no upstream.
    pub fn upstream_tls(&self) -> Option<UpstreamTlsHandle> {
        self.upstream_tls.clone()
    }

    /// Serves until drained. Returns when all requests and all captures have ended, and drops the
    /// producer.
    pub async fn run(self) {
        let Self {
            listener,
            pipes,
            policies,
            ..
        } = self;
        let serve = async {
            let tasks = listener.tasks.clone();
            listener.run(pipes).await;
            tasks.close();
            tasks.wait().await;
        };
        tokio::select! {
            () = serve => {}
            () = policies.give_up_slow_recordings() => {}
        }
    }
}
