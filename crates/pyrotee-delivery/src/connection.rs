//! A connection to the target, owned by one worker and driven by it.
//!
//! A pool would hand it from task to task, and drive it in one more: a third of what an upload costs
//! beside its bytes (ADR 0009). Whoever owns a connection needs neither.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use pyrotee_net::{ConnectionState, Connector, ExchangeError, Io};
use tokio::time::timeout;

use crate::upload::UploadBody;

/// How long a farewell may take: a TLS peer is told that this is the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What reads and writes.
type Driver = http1::Connection<Io, UploadBody>;

/// An HTTP/1.1 connection on which one upload goes at a time.
pub(crate) struct Connection {
    requests: SendRequest<UploadBody>,
    /// `None` once it has ended.
    driver: Option<Driver>,
    state: ConnectionState,
}

impl Connection {
    /// In a box, since it goes from hand to hand.
    pub(crate) async fn open(
        connector: &Connector,
        origin: Uri,
    ) -> Result<Box<Self>, ExchangeError> {
        let io = connector.open(origin).await?;
        let state = io.inner().state().clone();
        let (requests, driver) = http1::handshake(io)
            .await
            .map_err(|error| ExchangeError::broken(&error, &state))?;
        Ok(Box::new(Self {
            requests,
            driver: Some(driver),
            state,
        }))
    }

    /// Sends a request, and reads its answer with `read`.
    pub(crate) async fn exchange<T>(
        &mut self,
        request: Request<UploadBody>,
        read: impl AsyncFnOnce(Response<Incoming>) -> T,
    ) -> Result<T, ExchangeError> {
        let answer = self.requests.send_request(request);
        let exchange = async { Ok(read(answer.await?).await) };
        let mut exchange = pin!(exchange);
        let ended = poll_fn(|cx| {
            // What it writes comes first, and what it has read last: most answers need no third look.
            if let Poll::Ready(ended) = exchange.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            Self::drive(&mut self.driver, cx);
            exchange.as_mut().poll(cx)
        });
        ended
            .await
            .map_err(|error: hyper::Error| ExchangeError::broken(&error, &self.state))
    }

    /// Whether another request may follow: the last answer was read to its end, and both sides keep the
    /// connection.
    pub(crate) fn is_reusable(&self) -> bool {
        self.driver.is_some() && self.requests.is_ready()
    }

    /// Waits until the target closes it.
    pub(crate) async fn closed(&mut self) {
        poll_fn(|cx| match Self::drive(&mut self.driver, cx) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// Says farewell.
    pub(crate) async fn close(self: Box<Self>) {
        drop(self.requests);
        if let Some(driver) = self.driver {
            // It was to end anyhow.
            drop(timeout(FAREWELL, driver).await);
        }
    }

    /// Reads and writes what can be; whether the connection still stands. How it ended is told to the
    /// exchange that it ended.
    fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) -> bool {
        if let Some(running) = driver
            && Pin::new(running).poll(cx).is_ready()
        {
            *driver = None;
        }
        driver.is_some()
    }
}
