//! Serves one client's connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::io::ClientIo;
use crate::client::{ActiveUploads, Client, ConnectionTimeouts, RequestContext};
use crate::head;
use crate::metrics::{ProxyMetrics, TimeoutPhase};
use crate::stack::Stack;

/// Largest head of a request, in bytes; a larger one gets a 431.
const MAX_HEAD: usize = 256 * 1024;

/// How long a connection that timed out may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Idle time after which TCP probes whether the client is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Serves the requests of one connection until it ends, times out, or `drain` ends it.
pub(super) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    stack: Stack,
    metrics: Arc<ProxyMetrics>,
    uploads: Arc<ActiveUploads>,
    drain: CancellationToken,
    permit: Option<OwnedSemaphorePermit>,
) {
    if let Err(error) = prepare(&socket) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "client is gone already"
        );
        return;
    }
    let client = Arc::new(Client::new(peer, uploads));
    let io = ClientIo::new(socket, Arc::clone(&client), permit);
    let service = service_fn(|mut request: Request<Incoming>| {
        RequestContext::attach(&client, &mut request);
        stack.clone().oneshot(request)
    });
    let builder = builder();
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, error, "client connection failed");
                }
                return;
            }
            phase = timed_out(&client.timeouts, timer.as_mut()) => {
                metrics.client_timeout(phase);
                tracing::debug!(%peer, ?phase, "client connection timed out");
                connection.as_mut().graceful_shutdown();
                let _ended = tokio::time::timeout(CLOSE_TIMEOUT, connection.as_mut()).await;
                return;
            }
            () = drain.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Turns Nagle's algorithm off and TCP keepalive on. Keepalive detects a client that vanished without
/// closing: WebSockets and gRPC streams have no other limit on their silence.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new()
        .with_time(TCP_KEEPALIVE)
        .with_interval(TCP_KEEPALIVE / 3);
    SockRef::from(socket).set_tcp_keepalive(&keep_alive)
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .auto_date_header(false)
        .preserve_header_case(true)
        .max_headers(head::MAX_FIELDS)
        .max_buf_size(MAX_HEAD)
        // ConnectionTimeouts does this, and allows idle connections more time.
        .header_read_timeout(None)
        .timer(TokioTimer::new());
    builder
        .http2()
        .auto_date_header(false)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .timer(TokioTimer::new());
    builder
}

/// Resolves when the connection's deadline has passed. It is polled after every step of the connection,
/// so it sees a deadline that moved closer at once, and one that moved away when the timer fires.
async fn timed_out(timeouts: &ConnectionTimeouts, mut timer: Pin<&mut Sleep>) -> TimeoutPhase {
    poll_fn(|cx| {
        while let Some((deadline, phase)) = timeouts.deadline() {
            if deadline < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            match timer.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if Instant::now() >= deadline => return Poll::Ready(phase),
                Poll::Ready(()) => {}
            }
        }
        Poll::Pending
    })
    .await
}
