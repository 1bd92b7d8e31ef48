//! One client's connection.

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
use crate::client::{Client, Clock, Uploads};
use crate::head;
use crate::metrics::{ProxyMetrics, Silence};
use crate::stack::Stack;

/// Largest head of a request, in bytes. Beyond it: 431.
const MAX_HEAD: usize = 256 * 1024;

/// How long a connection that was told to close may take over it.
const PARTING: Duration = Duration::from_secs(1);

/// Silence after which a client is asked whether it still lives.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Serves the requests of one connection until it ends, falls silent, or `drain` ends it.
pub(super) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    stack: Stack,
    metrics: Arc<ProxyMetrics>,
    uploads: Arc<Uploads>,
    drain: CancellationToken,
    place: Option<OwnedSemaphorePermit>,
) {
    if let Err(error) = prepare(&socket) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "client is gone already"
        );
        return;
    }
    let client = Arc::new(Client {
        peer,
        clock: Clock::new(),
        uploads,
    });
    let io = ClientIo::new(socket, Arc::clone(&client), place);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&client));
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
            silence = silence(&client.clock, timer.as_mut()) => {
                metrics.silence(silence);
                tracing::debug!(%peer, ?silence, "client fell silent");
                connection.as_mut().graceful_shutdown();
                let _ended = tokio::time::timeout(PARTING, connection.as_mut()).await;
                return;
            }
            () = drain.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Sends at once, and notices a client that vanished without a word: a WebSocket or a gRPC stream may
/// be silent for as long as it likes, but not for ever.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE)
        .with_interval(KEEP_ALIVE / 3);
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
        // The clock does it, and spares idle connections.
        .header_read_timeout(None)
        .timer(TokioTimer::new());
    builder
        .http2()
        .auto_date_header(false)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .timer(TokioTimer::new());
    builder
}

/// Resolves when the clock has run out. It is polled after every step of the connection, so that
/// a deadline that came nearer is seen; one that moved away is noticed when the timer fires.
async fn silence(clock: &Clock, mut timer: Pin<&mut Sleep>) -> Silence {
    poll_fn(|cx| {
        while let Some((deadline, phase)) = clock.deadline() {
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
