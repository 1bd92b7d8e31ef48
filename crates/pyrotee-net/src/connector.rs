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
use tower::{BoxError, Service, ServiceExt};

use crate::stream::Stream;
use crate::tracked_io::TrackedIo;
use crate::{ExchangeError, Resolver, Tls};

/// How long one address may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// TCP keep-alive: idle time before the first probe, three times the time between probes. The kernel closes the
/// connection of a peer that does not answer them.
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
}

#[derive(Clone)]
enum Dialer {
    /// Dials `http://` and `https://` addresses; HTTP/1.1 by ALPN.
    Socket(HttpsConnector<HttpConnector<Resolver>>),
    /// Calls a function instead, for tests that pause the clock.
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
    /// A connector over sockets, with counts of its own.
    pub fn new(resolver: &Resolver, tls: &Tls) -> Self {
        let mut http = HttpConnector::new_with_resolver(resolver.clone());
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_keepalive(Some(KEEP_ALIVE));
        http.set_keepalive_interval(Some(KEEP_ALIVE / 3));
        let dialer = HttpsConnectorBuilder::new()
            .with_tls_config(tls.config.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Self::over(Dialer::Socket(dialer))
    }

    /// A connector that calls `dial` for each connection instead of opening a socket, with counts of its own.
    /// A test serves the other end of the pipe itself and can pause the clock, which it cannot with sockets.
    pub fn in_process(dial: impl Fn() -> io::Result<DuplexStream> + Send + Sync + 'static) -> Self {
        Self::over(Dialer::Pipe(Arc::new(dial)))
    }

    fn over(dialer: Dialer) -> Self {
        Self {
            dialer,
            counts: ConnectionCounts::default(),
        }
    }

    /// The counts of this connector's connections.
    pub fn counts(&self) -> &ConnectionCounts {
        &self.counts
    }

    /// Opens one connection to the scheme and authority of `origin`.
    ///
    /// # Errors
    ///
    /// If the name does not resolve, nobody accepts the connection, or the TLS handshake fails.
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
        let ConnectionCounts { opened, open } = self.counts.clone();
        let track = move |stream| {
            opened.fetch_add(1, Relaxed);
            TokioIo::new(TrackedIo::new(stream, open))
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

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
