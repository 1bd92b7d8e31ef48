//! Serves one client's connection.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use pyrotee_net::server::{ClientStream, TimedIo, TlsAcceptor, timed_out};
use pyrotee_queue::LogLimiter;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::client::{
    ActiveUploads, Client, Http2Streams, MAX_HEAD, PacedBody, Peer, RequestContext, StreamExecutor,
    StreamRefusal,
};
use crate::head;
use crate::metrics::ProxyMetrics;
use crate::stack::{self, Stack, StackBody};

/// How long a connection that timed out may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Idle time after which TCP probes whether the client is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Streams that an HTTP/2 connection may have open (RFC 9113 §6.5.2 advises at least 100).
const MAX_STREAMS: u32 = 100;

/// HTTP/2 window of one request body, in bytes: so much a client may send before the upstream takes it. An HTTP/1.1
/// connection buffers more.
const STREAM_WINDOW: u32 = 64 * 1024;

/// HTTP/2 window of all request bodies of a connection together, in bytes: as much as 16 bodies take, so that a few
/// that stand still do not hold back the others.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// Size of hyper's buffer for a stream's response, in bytes, besides the piece that is being written.
const STREAM_SEND_BUFFER: usize = 16 * 1024;

/// A socket that was just accepted.
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    /// `None`: the client speaks plain HTTP.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) handshakes: Arc<LogLimiter>,
    pub(super) connection: Connection,
}

impl Accepted {
    /// Makes the TLS handshake, and serves the requests until the connection ends, times out, or `drain` ends it.
    pub(super) async fn serve(self) {
        if let Err(error) = prepare(&self.socket) {
            // What it has sent before can still be read.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "client is gone already"
            );
        }
        let connection = self.connection;
        let stream = match &self.tls {
            None => Either::Left(self.socket),
            Some(tls) => {
                // Boxed, because the handshake would make the future of every connection larger.
                let handshake = Box::pin(tls.accept(self.socket));
                let shaken = tokio::select! {
                    shaken = handshake => shaken,
                    // There is no request yet.
                    () = connection.drain.cancelled() => return,
                };
                match shaken {
                    Ok(Some(stream)) => stream,
                    Ok(None) => return,
                    Err(error) => {
                        connection.metrics.handshake_failed(error.kind);
                        if let Some(left_out) = self.handshakes.due(error.kind.as_str()) {
                            error.log("data", self.peer, left_out);
                        }
                        return;
                    }
                }
            }
        };
        let is_tls = self.tls.is_some();
        let stream = Either::Left(stream);
        connection.serve(stream, self.peer.into(), is_tls).await;
    }
}

/// A socket, with or without TLS, or a pipe within the process. One type, so that the code that serves a connection
/// exists once.
type Stream = Either<ClientStream, DuplexStream>;

/// What a connection is served with.
pub(super) struct Connection {
    pub(super) stack: Stack,
    pub(super) metrics: Arc<ProxyMetrics>,
    pub(super) uploads: Arc<ActiveUploads>,
    pub(super) drain: CancellationToken,
    /// The connection's place in the listener's limit.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Serves the requests of the relay itself.
    pub(super) async fn serve_pipe(self, pipe: DuplexStream) {
        self.serve(Either::Right(pipe), Peer::Relay, false).await;
    }

    async fn serve(self, stream: Stream, peer: Peer, is_tls: bool) {
        let client = Arc::new(Client::new(peer, is_tls, self.uploads));
        let (timeouts, read_limit) = (Arc::clone(&client.timeouts), client.uploads.read_limit());
        let io = TimedIo::new(stream, timeouts, read_limit, self.permit);
        serve_io(io, client, self.stack, self.metrics, self.drain).await;
    }
}

/// Serves the requests of an open connection: over a socket or, in a test, over a pipe.
pub(super) async fn serve_io(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    client: Arc<Client>,
    stack: Stack,
    metrics: Arc<ProxyMetrics>,
    drain: CancellationToken,
) {
    let (timeouts, peer) = (Arc::clone(&client.timeouts), client.peer);
    let streams = Http2Streams::new(Arc::clone(&timeouts));
    let builder = builder(StreamExecutor::new(Arc::clone(&streams), metrics.clone()));
    let requests = Requests {
        client,
        streams,
        stack,
        metrics: metrics.clone(),
    };
    let service = service_fn(move |request| requests.serve(request));
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
            phase = timed_out(&timeouts, timer.as_mut()) => {
                metrics.client_timeout(phase.into());
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

/// Serves the requests of one connection.
struct Requests {
    client: Arc<Client>,
    streams: Arc<Http2Streams>,
    stack: Stack,
    metrics: Arc<ProxyMetrics>,
}

impl Requests {
    /// Returns the response to `request`; an error resets the request's stream.
    fn serve(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<PacedBody<StackBody>>, h2::Error>> + use<> {
        let is_stream = request.version() == Version::HTTP_2;
        let stream = is_stream.then(|| self.streams.admit(&request)).transpose();
        RequestContext::attach(&self.client, &mut request);
        let admitted = stream.map(|stream| (stream, self.stack.clone().oneshot(request)));
        if admitted.is_err() {
            self.metrics.refused_streams.increment(1);
        }
        async move {
            match admitted {
                Ok((stream, response)) => {
                    let Ok(response) = response.await;
                    Ok(response.map(|body| PacedBody::new(body, stream)))
                }
                Err(StreamRefusal::HeadTooLarge) => {
                    Ok(stack::head_too_large().map(|body| PacedBody::new(body, None)))
                }
                Err(StreamRefusal::TooManyHeads) => Err(h2::Reason::REFUSED_STREAM.into()),
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

fn builder(executor: StreamExecutor) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(executor);
    builder
        .http1()
        .auto_date_header(false)
        .preserve_header_case(true)
        .max_headers(head::MAX_FIELDS)
        .max_buf_size(MAX_HEAD)
        // `ConnectionTimeouts` limits the time of a head, and allows idle connections more time.
        .header_read_timeout(None)
        .timer(TokioTimer::new());
    builder
        .http2()
        .auto_date_header(false)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_SEND_BUFFER)
        .timer(TokioTimer::new());
    builder
}
