//! TLS of the admin listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use pyrotee_net::server::{ClientStream, TlsAcceptor};
use pyrotee_queue::LogLimiter;
use pyrotee_tls::{HandshakeErrorKind, ServerTls};
use tokio::net::TcpStream;

/// Time between two log lines about handshakes that failed for the same reason.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// TLS of the admin listener. Clones share the value in force and the counts.
#[derive(Debug, Clone)]
pub struct AdminTls {
    acceptor: TlsAcceptor,
    failures: Arc<Failures>,
}

#[derive(Debug)]
struct Failures {
    log: LogLimiter,
    counts: [AtomicU64; HandshakeErrorKind::ALL.len()],
}

impl AdminTls {
    /// TLS with `tls` in force.
    pub fn new(tls: ServerTls) -> Self {
        Self {
            acceptor: TlsAcceptor::new(tls),
            failures: Arc::new(Failures {
                log: LogLimiter::new(LOG_EVERY),
                counts: Default::default(),
            }),
        }
    }

    /// Puts `tls` in force for the connections that are accepted from now on.
    pub fn set(&self, tls: ServerTls) {
        self.acceptor.set(tls);
    }

    /// The number of failed handshakes of each kind.
    pub fn failed_handshakes(&self) -> impl Iterator<Item = (HandshakeErrorKind, u64)> {
        let counts = self.failures.counts.iter().map(|count| count.load(Relaxed));
        HandshakeErrorKind::ALL.into_iter().zip(counts)
    }

    /// Makes the handshake of an accepted connection. `None`: it failed, which is counted and logged, or the client left.
    pub(crate) async fn accept(&self, socket: TcpStream, peer: SocketAddr) -> Option<ClientStream> {
        match self.acceptor.accept(socket).await {
            Ok(stream) => stream,
            Err(error) => {
                if let Some(count) = self.failures.counts.get(error.kind as usize) {
                    count.fetch_add(1, Relaxed);
                }
                if let Some(left_out) = self.failures.log.due(error.kind.as_str()) {
                    error.log("admin", peer, left_out);
                }
                None
            }
        }
    }
}
