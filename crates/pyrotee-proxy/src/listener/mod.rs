//! Accepts clients and serves each on a task of its own, HTTP/1.1 or HTTP/2 by prior knowledge.

mod connection;
mod io;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::Uploads;
use crate::metrics::ProxyMetrics;
use crate::stack::Stack;

/// Connections served at once, if the limit of file descriptors allows it.
const MAX_CONNECTIONS: usize = 16_384;

/// File descriptors left for targets, logs, the admin listener and files.
const RESERVED_DESCRIPTORS: usize = 256;

/// How long accepting pauses when the process is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the clients of one address until told to stop.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) stack: Stack,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) metrics: Arc<ProxyMetrics>,
    pub(crate) tasks: TaskTracker,
    /// Stop accepting; connections finish what they are doing.
    pub(crate) drain: CancellationToken,
}

impl Listener {
    /// Accepts until `drain`.
    pub(crate) async fn run(self) {
        let uploads = Arc::new(Uploads::default());
        let accept = async {
            loop {
                let place = self.place().await;
                let (socket, peer) = self.accept().await;
                let serving = connection::serve(
                    socket,
                    peer,
                    self.stack.clone(),
                    self.metrics.clone(),
                    Arc::clone(&uploads),
                    self.drain.clone(),
                    place,
                );
                self.tasks.spawn(serving);
            }
        };
        tokio::select! {
            () = self.drain.cancelled() => {}
            () = accept => {}
        }
    }

    /// Waits for a place: at the limit clients wait in the kernel's backlog, and that is counted.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        self.metrics.connection_limit.increment(1);
        tracing::warn!("all client connections are in use, new ones wait");
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    async fn accept(&self) -> (TcpStream, std::net::SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => match error.kind() {
                    // The client was gone before we came to it.
                    ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::Interrupted => {}
                    _ => {
                        tracing::error!(%error, "failed to accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

/// Places for client connections: each may need a descriptor towards the upstream as well. The
/// soft limit is raised to the hard one first.
pub(crate) fn places() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let descriptors = descriptors.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let affordable = (descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 2).max(1);
    if affordable < MAX_CONNECTIONS {
        tracing::warn!(
            connections = affordable,
            descriptors,
            "the limit of file descriptors allows fewer client connections than usual"
        );
    }
    affordable.min(MAX_CONNECTIONS)
}
