//! Opens connections.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tower::{BoxError, Service, ServiceExt};

use crate::link::Watched;
use crate::{Fault, Resolver, Tls};

/// How long one address may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer that vanished without a word is noticed after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Dials `http://` and `https://` addresses, HTTP/1.1 by ALPN.
pub type Dialer = HttpsConnector<HttpConnector<Resolver>>;

/// What opens the connections of a [`Connector`]: a [`Dialer`], or a stand-in.
pub trait Dial:
    Service<
        Uri,
        Response: Read + Write + Connection + Unpin + Send + 'static,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl Dial for Dialer {}

/// A connection that is watched.
pub type Io<D = Dialer> = TokioIo<Watched<TokioIo<<D as Service<Uri>>::Response>>>;

/// Opens connections and watches them. A pool of hyper-util takes it as its connector; [`crate::Link`]
/// is in the extensions of what comes out. Who wants no pool has [`Connector::open`].
#[derive(Clone, Debug)]
pub struct Connector<D = Dialer> {
    dialer: D,
    links: Links,
}

/// Counts the connections of one [`Connector`].
#[derive(Clone, Debug, Default)]
pub struct Links {
    opened: Arc<AtomicU64>,
    open: Arc<AtomicU64>,
}

impl Links {
    /// Connections opened so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }
}

impl Connector {
    /// A connector with counts of its own.
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
        Self::over(dialer)
    }
}

impl<D> Connector<D> {
    /// A connector with counts of its own that dials in some other way, such as within a process.
    pub fn over(dialer: D) -> Self {
        Self {
            dialer,
            links: Links::default(),
        }
    }

    /// The counts.
    pub fn links(&self) -> &Links {
        &self.links
    }
}

impl<D: Dial> Connector<D> {
    /// Opens one connection to `origin`, of which path and query do not count.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn open(&self, origin: Uri) -> Result<Io<D>, Fault> {
        let connecting = self.clone().oneshot(origin);
        connecting.await.map_err(|error| Fault::connect(&*error))
    }
}

impl<D: Dial> Service<Uri> for Connector<D> {
    type Response = Io<D>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.dialer.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.dialer.call(uri);
        let links = self.links.clone();
        Box::pin(async move {
            let io = connecting.await.map_err(Into::into)?;
            links.opened.fetch_add(1, Relaxed);
            Ok(TokioIo::new(Watched::new(TokioIo::new(io), links.open)))
        })
    }
}
