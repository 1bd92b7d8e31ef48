//! Opens connections to one server: sockets, or pipes to a stand-in within the process.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use pyrotee_tls::{Alpn, ClientTls};
use tokio::io::DuplexStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{BoxError, Service, ServiceExt};

use crate::dialer::Dialer;
use crate::refusal::Refusals;
use crate::tracked_io::TrackedIo;
use crate::{AddressRefusal, ExchangeError, Resolver};

/// A connection as `hyper` takes it; [`TrackedIo::state`] is its [`crate::ConnectionState`].
pub type Io = TokioIo<TrackedIo>;

/// Opens connections and counts them.
///
/// It is the connector of a `hyper-util` pool, which finds the [`crate::ConnectionState`] in the extensions of
/// each connection. [`Connector::open`] opens a connection without a pool.
#[derive(Clone, Debug)]
pub struct Connector {
    dialer: Dialer,
    counts: ConnectionCounts,
    /// One permit per connection; `None` without a limit.
    permits: Option<Arc<Semaphore>>,
}

/// All connections that [`Connector::limited`] allows are open.
#[derive(Debug, thiserror::Error)]
#[error("all connections are in use")]
pub(crate) struct LimitReached;

/// How many connections one [`Connector`] has opened, and how many of them are open now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounts {
    opened: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
}

impl ConnectionCounts {
    /// Connections opened since the start.
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }
}

impl Connector {
    /// A connector over sockets, for HTTP/1.1 (by ALPN over TLS), with counts of its own.
    pub fn new(resolver: &Resolver, tls: &ClientTls) -> Self {
        Self::over(Dialer::new(resolver, tls, Alpn::Http1))
    }

    /// A connector over sockets, for HTTP/2: over TLS, ALPN offers HTTP/2 only; without TLS, the server must
    /// expect HTTP/2 (prior knowledge). The connector has counts of its own.
    pub fn http2(resolver: &Resolver, tls: &ClientTls) -> Self {
        Self::over(Dialer::new(resolver, tls, Alpn::H2))
    }

    /// The same connector with other TLS, and with the same counts and limit. A connection that was opened with the
    /// TLS before keeps it.
    #[must_use]
    pub fn with_tls(&self, tls: ClientTls) -> Self {
        let mut other = self.clone();
        other.dialer.tls = Some(tls);
        other
    }

    /// Opens no connection to an address that `refuses` refuses, whether the URI has the address or its name resolves
    /// to it. `refuses` is called for each address of each connection, and must not wait.
    #[must_use]
    pub fn refusing(
        mut self,
        refuses: impl Fn(SocketAddr) -> Option<AddressRefusal> + Send + Sync + 'static,
    ) -> Self {
        self.dialer.refusals = Some(Refusals::new(refuses));
        self
    }

    /// Opens at most `max` connections at once, those that are being opened and idle ones included. Beyond
    /// `max`, connecting fails at once with an error for which [`ExchangeError::is_limit`] is true.
    #[must_use]
    pub fn limited(self, max: usize) -> Self {
        let permits = Semaphore::new(max.min(Semaphore::MAX_PERMITS));
        Self {
            permits: Some(Arc::new(permits)),
            ..self
        }
    }

    /// Adds this connector's connections to `counts`, instead of to counts of its own.
    #[must_use]
    pub fn counted_by(self, counts: &ConnectionCounts) -> Self {
        let counts = counts.clone();
        Self { counts, ..self }
    }

    /// A connector that calls `dial` for each connection instead of opening a socket, with counts of its own, and
    /// without TLS until [`Connector::with_tls`]. A test serves the other end of the pipe and can pause the clock,
    /// which is not possible with sockets.
    pub fn in_process(dial: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static) -> Self {
        Self::over(Dialer::pipe(dial))
    }

    fn over(dialer: Dialer) -> Self {
        Self {
            dialer,
            counts: ConnectionCounts::default(),
            permits: None,
        }
    }

    /// TLS of `https://` addresses; `None`: this connector never uses TLS.
    pub fn tls(&self) -> Option<&ClientTls> {
        self.dialer.tls.as_ref()
    }

    /// The counts of this connector's connections.
    pub fn counts(&self) -> &ConnectionCounts {
        &self.counts
    }

    /// Takes a permit, if there is a limit.
    fn permit(&self) -> Result<Option<OwnedSemaphorePermit>, LimitReached> {
        let permits = self.permits.as_ref();
        permits
            .map(|permits| Arc::clone(permits).try_acquire_owned())
            .transpose()
            .map_err(|_| LimitReached)
    }

    /// Opens one connection to the scheme and authority of `origin`.
    ///
    /// # Errors
    ///
    /// If the name does not resolve, nobody accepts the connection, the TLS handshake fails, all of it takes longer
    /// than 10 s, or the limit is reached.
    pub async fn open(&self, origin: Uri) -> Result<Io, ExchangeError> {
        let connecting = self.clone().oneshot(origin);
        connecting
            .await
            .map_err(|error| ExchangeError::connect(&*error))
    }
}

impl Service<Uri> for Connector {
    type Response = Io;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Io, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let permit = match self.permit() {
            Ok(permit) => permit,
            Err(error) => return Box::pin(async move { Err(error.into()) }),
        };
        let ConnectionCounts { opened, open } = self.counts.clone();
        let dialing = self.dialer.clone().dial(uri);
        Box::pin(async move {
            let (stream, tls) = dialing.await?;
            opened.fetch_add(1, Relaxed);
            Ok(TokioIo::new(TrackedIo::new(stream, tls, open, permit)))
        })
    }
}

#[cfg(test)]
mod tests;
