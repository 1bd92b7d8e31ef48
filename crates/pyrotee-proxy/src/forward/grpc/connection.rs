//! Opens the HTTP/2 connection to the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body::Body;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pyrotee_net::{ConnectionState, Connector, ExchangeError};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tower::BoxError;

/// Maximum number of calls at once, if the upstream allows that many streams.
const MAX_CALLS: usize = 100;

/// HTTP/2 window of a call's response, in bytes: at most so much of it waits here for a client that does not read.
const STREAM_WINDOW: u32 = 64 * 1024;

/// HTTP/2 window of the connection, in bytes: the sum of the windows of all calls, so that clients that do not read
/// their responses do not block the responses to other clients.
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;

/// Size of the buffer of a call's request, in bytes.
const SEND_BUFFER: usize = 64 * 1024;

/// Interval between HTTP/2 pings on a connection with calls in flight, and the timeout of each ping.
/// gRPC calls have no other timeout.
const PING: Duration = Duration::from_secs(20);

/// Number of streams that the upstream allows, as hyper reports it until the upstream's settings have arrived.
const UNKNOWN: usize = 0;

/// Interval of the checks whether the upstream's settings have arrived on a new connection.
const SETTINGS_POLL: Duration = Duration::from_millis(1);

/// A connection to the upstream. Cheap to clone.
#[derive(Debug)]
pub(super) struct GrpcConnection<B> {
    pub(super) sender: SendRequest<B>,
    /// One permit per call.
    pub(super) streams: Arc<Semaphore>,
    pub(super) state: ConnectionState,
}

impl<B> Clone for GrpcConnection<B> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            streams: Arc::clone(&self.streams),
            state: self.state.clone(),
        }
    }
}

impl<B> GrpcConnection<B> {
    /// The failure of a call over this connection. Nobody asks whether the call was written: a call is not repeated.
    pub(super) fn broken(&self, error: &hyper::Error) -> ExchangeError {
        ExchangeError::broken(error, &self.state, true)
    }
}

/// Opens a connection to `origin`. Fails if the upstream does not send its HTTP/2 settings within `timeout`.
pub(super) async fn connect<B>(
    connector: &Connector,
    origin: &Uri,
    timeout: Duration,
) -> Result<GrpcConnection<B>, ExchangeError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let opening = tokio::time::timeout(timeout, open(connector, origin));
    opening.await.unwrap_or_else(|_| {
        let text = format!("no HTTP/2 connection within {timeout:?}");
        Err(ExchangeError::timeout(text, true))
    })
}

async fn open<B>(connector: &Connector, origin: &Uri) -> Result<GrpcConnection<B>, ExchangeError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let io = connector.open(origin.clone()).await?;
    let state = io.inner().state().clone();
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .initial_max_send_streams(UNKNOWN)
        .handshake::<_, B>(io)
        .await;
    let (sender, driver) =
        handshake.map_err(|error| ExchangeError::broken(&error, &state, false))?;
    let mut driver = Box::pin(driver);
    // hyper does not wait for the upstream's settings, and a call has no timeout. So the first calls wait here. hyper
    // does not report the arrival of the settings either, so this loop polls for it.
    while driver.current_max_send_streams() == UNKNOWN {
        tokio::select! {
            biased;
            end = driver.as_mut() => return Err(refused(end, &state)),
            () = sleep(SETTINGS_POLL) => {}
        }
    }
    let streams = driver.current_max_send_streams().min(MAX_CALLS);
    hyper::rt::Executor::execute(&TokioExecutor::new(), drive(driver));
    Ok(GrpcConnection {
        sender,
        streams: Arc::new(Semaphore::new(streams)),
        state,
    })
}

/// The error of a connection that ended before the upstream's settings arrived.
fn refused(end: hyper::Result<()>, state: &ConnectionState) -> ExchangeError {
    match end {
        Ok(()) => ExchangeError::closed("the connection ended before HTTP/2 began", state),
        Err(error) => ExchangeError::broken(&error, state, false),
    }
}

async fn drive<F: Future<Output = hyper::Result<()>>>(driver: Pin<Box<F>>) {
    if let Err(error) = driver.await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "grpc connection failed"
        );
    }
}
