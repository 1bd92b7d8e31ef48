//! A connection to a target, which one worker owns and drives.
//!
//! A pool would pass connections between tasks and drive each connection in its own task. That costs a third of an
//! upload's fixed cost, the cost without its bytes (ADR 0009).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use pyrotee_net::{ConnectionState, Connector, ExchangeError, Io};
use tokio::time::timeout;

use crate::Settings;
use crate::upload_body::{UploadBody, UploadProgress};

/// Time limit for closing a connection: TLS sends the peer a closing message.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The future that reads and writes the connection.
type Driver = http1::Connection<Io, UploadBody>;

/// The server of a target, and the TLS to it. A connection serves the uploads to the same `Endpoint`, not to an equal one.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) connector: Connector,
    pub(crate) origin: Uri,
}

impl Endpoint {
    /// The server of a target with these settings.
    pub(crate) fn new(connector: &Connector, settings: &Settings) -> Arc<Self> {
        let tls = settings.tls.clone();
        Arc::new(Self {
            connector: tls.map_or_else(|| connector.clone(), |tls| connector.with_tls(tls)),
            origin: settings.address.origin(),
        })
    }

    /// When the certificate expires that the server showed last. `None` if it has shown none.
    pub(crate) fn certificate_expiry(&self) -> Option<SystemTime> {
        self.connector.tls()?.observer().server_not_after()
    }
}

/// An HTTP/1.1 connection to a target that carries one upload at a time.
pub(crate) struct Connection {
    endpoint: Arc<Endpoint>,
    requests: SendRequest<UploadBody>,
    /// `None` after the connection has ended.
    driver: Option<Driver>,
    state: ConnectionState,
}

impl Connection {
    /// Opens a connection. Boxed, because it moves between worker and client with each upload.
    pub(crate) async fn open(endpoint: &Arc<Endpoint>) -> Result<Box<Self>, ExchangeError> {
        let io = endpoint.connector.open(endpoint.origin.clone()).await?;
        let state = io.inner().state().clone();
        let (requests, driver) = http1::handshake(io)
            .await
            .map_err(|error| ExchangeError::broken(&error, &state, false))?;
        Ok(Box::new(Self {
            endpoint: Arc::clone(endpoint),
            requests,
            driver: Some(driver),
            state,
        }))
    }

    /// Sends a request, whose body reports to `progress`, and reads the response with `read`.
    pub(crate) async fn exchange<T>(
        &mut self,
        request: Request<UploadBody>,
        progress: &UploadProgress,
        read: impl AsyncFnOnce(Response<Incoming>) -> T,
    ) -> Result<T, ExchangeError> {
        let response = self.requests.send_request(request);
        let exchange = async { Ok(read(response.await?).await) };
        let mut exchange = pin!(exchange);
        let ended = poll_fn(|cx| {
            // Poll the exchange first, so that it queues the request, then the driver, which writes and reads,
            // then the exchange again with the bytes that were read: most responses are complete by then.
            if let Poll::Ready(ended) = exchange.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            Self::drive(&mut self.driver, cx);
            exchange.as_mut().poll(cx)
        });
        ended.await.map_err(|error: hyper::Error| {
            ExchangeError::broken(&error, &self.state, progress.has_finished())
        })
    }

    /// Whether another request may follow: the last response was read to its end, and both sides keep the
    /// connection open.
    pub(crate) fn is_reusable(&self) -> bool {
        self.driver.is_some() && self.requests.is_ready()
    }

    /// Whether the connection leads to `endpoint`.
    pub(crate) fn leads_to(&self, endpoint: &Arc<Endpoint>) -> bool {
        Arc::ptr_eq(&self.endpoint, endpoint)
    }

    /// Waits until the target closes the connection.
    pub(crate) async fn closed(&mut self) {
        poll_fn(|cx| match Self::drive(&mut self.driver, cx) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// Closes the connection.
    pub(crate) async fn close(self: Box<Self>) {
        drop(self.requests);
        if let Some(driver) = self.driver {
            // An error or a timeout ends the connection as well.
            drop(timeout(CLOSE_TIMEOUT, driver).await);
        }
    }

    /// Reads and writes without waiting. Returns whether the connection is still open; hyper reports errors to the
    /// exchange.
    fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) -> bool {
        if let Some(running) = driver
            && Pin::new(running).poll(cx).is_ready()
        {
            *driver = None;
        }
        driver.is_some()
    }
}
