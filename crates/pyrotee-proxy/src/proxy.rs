//! From settings to a running proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_net::ConnectionCounts;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::forward::{Forward, ForwardSettings, Lingering};
use crate::listener::{self, Listener};
use crate::metrics::ProxyMetrics;
use crate::settings::{Settings, TeeSettings};
use crate::stack::{self, Local};
use crate::tee::{Recorder, Repeats, Stake, TeeLayer};
use crate::{BindError, Duplicates, LocalWrites, TeeOn};

/// How much of the rest of a body is read after an early answer, if nothing is teed.
const LINGER_BYTES: u64 = 64 * 1024 * 1024;

/// A proxy that listens and does not serve yet.
#[derive(Debug)]
pub struct Proxy {
    listener: Listener,
    address: SocketAddr,
    gauges: Gauges,
}

/// What a scrape asks the proxy.
#[derive(Debug, Clone)]
pub struct Gauges {
    places: Arc<Semaphore>,
    capacity: usize,
    connections: Option<ConnectionCounts>,
}

impl Gauges {
    /// Connections of clients.
    pub fn client_connections(&self) -> usize {
        self.capacity
            .saturating_sub(self.places.available_permits())
    }

    /// Connections to the upstream; none if there is no upstream.
    pub fn upstream_connections(&self) -> u64 {
        self.connections.as_ref().map_or(0, ConnectionCounts::open)
    }
}

impl Proxy {
    /// Binds the address and builds the request path. Tasks run on `runtime`; `drain` ends them.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub fn bind(
        settings: Settings,
        runtime: Handle,
        drain: CancellationToken,
    ) -> Result<Self, BindError> {
        let (socket, address) = listener::bind(settings.listen)?;
        let metrics = ProxyMetrics::new();
        let tasks = TaskTracker::new();
        let capacity = listener::places();
        let places = Arc::new(Semaphore::new(capacity));
        let connections = settings
            .upstream
            .as_ref()
            .map(|upstream| upstream.connector.counts().clone());
        let gauges = Gauges {
            places: Arc::clone(&places),
            capacity,
            connections,
        };

        let lingering = Arc::new(Lingering {
            tasks: tasks.clone(),
            runtime,
            max_bytes: settings
                .tee
                .as_ref()
                .map_or(LINGER_BYTES, |tee| tee.max_body),
            max_time: settings
                .upstream
                .as_ref()
                .map_or(Duration::from_secs(60), |u| u.timeout),
        });
        let forward = settings.upstream.map(|upstream| {
            Forward::new(ForwardSettings {
                upstream,
                lingering: Arc::clone(&lingering),
                metrics: metrics.clone(),
            })
        });
        let recorder = settings.tee.map(|tee| {
            let stake = stake(&tee, settings.local_writes, &lingering);
            Arc::new(Recorder {
                producer: tee.producer,
                budget: tee.budget,
                max_body: tee.max_body,
                stake,
                metrics: metrics.clone(),
            })
        });
        let local = Local {
            forward,
            writes: settings.local_writes,
            lingering,
        };
        let stack = stack::build(local, TeeLayer::new(recorder), metrics.clone());
        let listener = Listener {
            socket,
            stack,
            places,
            metrics,
            tasks,
            drain,
        };
        Ok(Self {
            listener,
            address,
            gauges,
        })
    }

    /// The address that clients reach.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a scrape asks.
    pub fn gauges(&self) -> Gauges {
        self.gauges.clone()
    }

    /// Serves until drained; returns when every request is answered and every recording has ended.
    /// The producer is dropped with the last of them.
    pub async fn run(self) {
        let tasks = self.listener.tasks.clone();
        self.listener.run().await;
        tasks.close();
        tasks.wait().await;
    }
}

/// What the tee needs the upstream's answer for.
fn stake(tee: &TeeSettings, local_writes: LocalWrites, tasks: &Lingering) -> Stake {
    match (local_writes, tee.on, tee.duplicates) {
        // Without local writes there is no upstream to wait for: the queues decide the answer.
        (LocalWrites::Discard, ..) | (_, TeeOn::Always, Duplicates::Tee) => Stake::Nothing,
        // What failed was not teed, so that its repetition has to be.
        (_, TeeOn::UpstreamSuccess, _) => Stake::Offer,
        (_, TeeOn::Always, Duplicates::Drop) => Stake::Repeats(Repeats::new(
            tee.budget.limit(),
            tasks.tasks.clone(),
            tasks.runtime.clone(),
        )),
    }
}
