//! Accepts client connections and serves each in its own task, over HTTP/1.1 or HTTP/2 by prior knowledge.

mod connection;
mod entrance;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_net::server::TlsAcceptor;
use pyrotee_queue::LogLimiter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::ActiveUploads;
use crate::metrics::ProxyMetrics;
use crate::stack::Stack;
use connection::{Accepted, Connection};
pub use entrance::Entrance;
pub(crate) use entrance::{Pipes, entrance};

/// Maximum number of client connections, if the limit of file descriptors allows it.
const MAX_CONNECTIONS: usize = 16_384;

/// File descriptors reserved for targets, logs, the admin listener and files.
const RESERVED_DESCRIPTORS: usize = 256;

/// How long accepting pauses when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time between two log lines about handshakes that failed for the same reason.
const HANDSHAKE_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Serves the clients of one address until it is drained.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// `None`: clients speak plain HTTP.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) stack: Stack,
    /// One permit per client connection.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) metrics: Arc<ProxyMetrics>,
    pub(crate) tasks: TaskTracker,
    /// When cancelled, accepting stops and connections finish their requests.
    pub(crate) drain: CancellationToken,
}

impl Listener {
    /// Accepts connections, and the relay's own from `pipes`, until `drain` is cancelled.
    pub(crate) async fn run(self, pipes: Pipes) {
        let uploads = Arc::new(ActiveUploads::default());
        tokio::select! {
            () = self.drain.cancelled() => {}
            () = self.accept_clients(&uploads) => {}
            () = self.accept_pipes(pipes, &uploads) => {}
        }
    }

    async fn accept_clients(&self, uploads: &Arc<ActiveUploads>) {
        let handshakes = Arc::new(LogLimiter::new(HANDSHAKE_LOG_INTERVAL));
        loop {
            let permit = self.acquire_permit().await;
            let (socket, peer) = self.accept().await;
            let accepted = Accepted {
                socket,
                peer,
                tls: self.tls.clone(),
                handshakes: Arc::clone(&handshakes),
                connection: self.connection(uploads, permit),
            };
            self.tasks.spawn(accepted.serve());
        }
    }

    /// Serves the connections of the relay itself, which take no place from the clients.
    async fn accept_pipes(&self, mut pipes: Pipes, uploads: &Arc<ActiveUploads>) {
        loop {
            let pipe = pipes.next().await;
            let connection = self.connection(uploads, None);
            self.tasks.spawn(connection.serve_pipe(pipe));
        }
    }

    fn connection(
        &self,
        uploads: &Arc<ActiveUploads>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Connection {
        Connection {
            stack: self.stack.clone(),
            metrics: self.metrics.clone(),
            uploads: Arc::clone(uploads),
            drain: self.drain.clone(),
            permit,
        }
    }

    /// Waits for a connection permit. At the limit, new clients wait in the kernel's backlog, and the
    /// metric `connection_limit` is incremented.
    async fn acquire_permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        self.metrics.connection_limit.increment(1);
        tracing::warn!("all client connections are in use, new ones wait");
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    async fn accept(&self) -> (TcpStream, std::net::SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => match error.kind() {
                    // The client left before its connection was accepted.
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

/// Returns the maximum number of client connections. Half of the file descriptors that are not reserved is for clients,
/// the other half for connections to the upstream.
pub(crate) fn max_connections() -> usize {
    use rustix::process::{Resource, getrlimit};

    let descriptors = getrlimit(Resource::Nofile).current;
    let descriptors = descriptors.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let affordable = (descriptors.saturating_sub(RESERVED_DESCRIPTORS) / 2).max(1);
    if affordable < MAX_CONNECTIONS {
        tracing::warn!(
            connections = affordable,
            descriptors,
            "the limit of file descriptors (ulimit -n, LimitNOFILE) allows fewer client connections than usual"
        );
    }
    affordable.min(MAX_CONNECTIONS)
}
