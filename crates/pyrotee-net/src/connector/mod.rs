//! Opens connections to one server: sockets, or pipes to a stand-in within the process.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{BoxError, Service, ServiceExt};

use crate::stream::Stream;
use crate::tracked_io::TrackedIo;
use crate::{ExchangeError, Resolver, Tls};

/// How long one address may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// TCP keep-alive: idle time before the first probe, three times the time between probes. The kernel closes the
/// connection of a peer that does not answer the probes.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A connection as `hyper` takes it; [`TrackedIo::state`] is its [`crate::ConnectionState`].
pub type Io = TokioIo<TrackedIo>;

/// Opens connections and counts them.
///
/// It is the connector of a `hyper-util` pool, which finds the [`crate::ConnectionState`] in the extensions of
/// each connection. [`Connector::open`] opens a connection without a pool.
#[derive(Clone)]
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

#[derive(Clone)]
enum Dialer {
    /// Dials `http://` and `https://` addresses; one version of HTTP by ALPN.
    Socket(HttpsConnector<HttpConnector<Resolver>>),
    /// Calls a function instead of opening a socket, for tests that pause the clock.
    Pipe(Arc<dyn Fn() -> io::Result<DuplexStream> + Send + Sync>),
}

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
    pub fn new(resolver: &Resolver, tls: &Tls) -> Self {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls.config.clone());
        let dialer = builder.https_or_http().enable_http1();
        Self::over(Dialer::Socket(dialer.wrap_connector(tcp(resolver))))
    }

    /// A connector over sockets, for HTTP/2: over TLS, ALPN offers HTTP/2 only; without TLS, the server must
    /// expect HTTP/2 (prior knowledge). The connector has counts of its own.
    pub fn http2(resolver: &Resolver, tls: &Tls) -> Self {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls.config.clone());
        let dialer = builder.https_or_http().enable_http2();
        Self::over(Dialer::Socket(dialer.wrap_connector(tcp(resolver))))
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

    /// A connector that calls `dial` for each connection instead of opening a socket, with counts of its own. A
    /// test serves the other end of the pipe and can pause the clock, which is not possible with sockets.
    pub fn in_process(dial: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static) -> Self {
        Self::over(Dialer::Pipe(Arc::new(dial)))
    }

    fn over(dialer: Dialer) -> Self {
        Self {
            dialer,
            counts: ConnectionCounts::default(),
            permits: None,
        }
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
    /// If the name does not resolve, nobody accepts the connection, the TLS handshake fails, or the limit is
    /// reached.
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

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.dialer {
            Dialer::Socket(dialer) => dialer.poll_ready(cx),
            Dialer::Pipe(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let permit = match self.permit() {
            Ok(permit) => permit,
            Err(error) => return Box::pin(async move { Err(error.into()) }),
        };
        let ConnectionCounts { opened, open } = self.counts.clone();
        let track = move |stream| {
            opened.fetch_add(1, Relaxed);
            TokioIo::new(TrackedIo::new(stream, open, permit))
        };
        match &mut self.dialer {
            Dialer::Socket(dialer) => {
                let connecting = dialer.call(uri);
                Box::pin(async move { Ok(track(Stream::Left(TokioIo::new(connecting.await?)))) })
            }
            Dialer::Pipe(dial) => {
                let pipe = dial();
                Box::pin(async move { Ok(track(Stream::Right(pipe?))) })
            }
        }
    }
}

/// Opens TCP connections, for TLS or for plain HTTP.
fn tcp(resolver: &Resolver) -> HttpConnector<Resolver> {
    let mut http = HttpConnector::new_with_resolver(resolver.clone());
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(KEEP_ALIVE));
    http.set_keepalive_interval(Some(KEEP_ALIVE / 3));
    http
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
