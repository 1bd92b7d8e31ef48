//! Tests the whole request path: clients over loopback, the upstream over a pipe.

mod policies;
mod pulled;
mod tls;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pyrotee_net::server::TlsAcceptor;
use pyrotee_net::{Connector, Listen, bind};
use pyrotee_queue::{
    Budget, Consumer, LeaseFilter, Ledger, Limits, OpenBackend, TargetQueue, WhenFull, open_memory,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    Entrance, LocalWrites, PolicyHandle, Proxy, Settings, UpstreamSettings, UpstreamTlsHandle,
};

/// How long a test waits for the relay before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy with one target, which delivers nothing.
struct Relay {
    address: SocketAddr,
    entrance: Entrance,
    policy: PolicyHandle,
    upstream_tls: Option<UpstreamTlsHandle>,
    /// The queries of the requests that the upstream got whole.
    upstream: Arc<Mutex<Vec<String>>>,
    ledger: Arc<Ledger>,
    consumer: Arc<dyn Consumer>,
    drain: CancellationToken,
    running: JoinHandle<()>,
}

/// A target whose queue holds so many records of any size.
pub(crate) fn target(name: &str, records: usize) -> TargetQueue {
    TargetQueue {
        name: name.to_owned(),
        limits: Limits {
            records,
            bytes: u64::MAX,
            when_full: WhenFull::DropNewest,
        },
        ledger: Arc::default(),
        sharing: None,
    }
}

impl Relay {
    /// Starts a proxy that tees nothing, with or without an upstream.
    fn start(has_upstream: bool) -> Self {
        let upstream = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&upstream);
        let connector = Connector::in_process(move || Ok(open_upstream(&seen)));
        let connector = has_upstream.then_some(connector);
        let origin = Uri::from_static("http://10.0.0.1:4042");
        Self::between(None, connector, origin, upstream)
    }

    /// Starts a proxy that tees nothing, between clients with or without TLS and an upstream, which writes the queries
    /// of its requests into `upstream`.
    fn between(
        listen_tls: Option<TlsAcceptor>,
        connector: Option<Connector>,
        origin: Uri,
        upstream: Arc<Mutex<Vec<String>>>,
    ) -> Self {
        let target = target("central", 100_000);
        let ledger = Arc::clone(&target.ledger);
        let OpenBackend {
            producer,
            mut queues,
            ..
        } = open_memory([target]);
        let settings = Settings {
            listen_tls,
            upstream: connector.map(|connector| UpstreamSettings {
                origin,
                grpc_connector: connector.clone(),
                connector,
                max_connections: None,
                timeout: Duration::from_secs(60),
                forwarded_headers: true,
            }),
            producer,
            budget: Budget::new(256 << 20),
            local_writes: LocalWrites::Forward,
            tee: None,
        };
        let drain = CancellationToken::new();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = bind(Listen::One(any)).unwrap();
        let proxy = Proxy::new(socket, settings, Handle::current(), drain.clone());
        Self {
            address: proxy.address(),
            entrance: proxy.entrance(),
            policy: proxy.policy(),
            upstream_tls: proxy.upstream_tls(),
            upstream,
            ledger,
            consumer: queues.remove(0).consumer,
            drain,
            running: tokio::spawn(proxy.run()),
        }
    }

    async fn connect(&self) -> Connection {
        let socket = TcpStream::connect(self.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Connection {
            socket,
            read: Vec::new(),
        }
    }

    /// Stops the proxy, and returns the queries of the records in the queue, which the end of the proxy closes.
    async fn stop(self) -> Vec<String> {
        self.drain.cancel();
        self.running.await.unwrap();
        let mut queries = Vec::new();
        while let Some(lease) = self.consumer.lease(&LeaseFilter::ANY).await {
            queries.push(lease.record().head().query.to_string());
            lease.ack();
        }
        queries
    }
}

/// Opens a connection to an upstream that reads each request to its end and responds with the status in its query.
fn open_upstream(seen: &Arc<Mutex<Vec<String>>>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(serve_upstream(far, Arc::clone(seen)));
    near
}

/// Serves a connection of the upstream. The response repeats the scheme that the client used.
async fn serve_upstream(
    io: impl AsyncRead + AsyncWrite + Unpin + 'static,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let status = query.split("status=").nth(1).unwrap_or("200");
            let response = Response::builder().status(status);
            let response = match request.headers().get("x-forwarded-proto") {
                Some(scheme) => response.header("x-forwarded-proto", scheme),
                None => response,
            };
            if request.into_body().collect().await.is_ok() {
                seen.lock().unwrap().push(query.clone());
            }
            let body = Full::new(Bytes::from_static(b"upstream"));
            Ok::<_, Infallible>(response.body(body).unwrap())
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service);
    // A connection that was closed on purpose ends with an error.
    drop(connection.await);
}

/// A client's connection.
struct Connection {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Sends the head of a request with a body of `length` bytes, and `more` header lines.
    async fn send_head(&mut self, query: &str, length: usize, more: &str) {
        let head = format!(
            "POST /ingest?{query} HTTP/1.1\r\nHost: relay\r\nContent-Length: {length}\r\n{more}\r\n"
        );
        self.socket.write_all(head.as_bytes()).await.unwrap();
    }

    /// Sends the head of a request, and waits until its body is read: then the request has its policy.
    async fn begin(&mut self, query: &str, length: usize) {
        let more = "Expect: 100-continue\r\n";
        self.send_head(query, length, more).await;
        assert_eq!(self.read_head().await.unwrap(), (100, 0));
    }

    async fn send_body(&mut self, length: usize) -> std::io::Result<()> {
        self.socket.write_all(&vec![b'x'; length]).await
    }

    /// Reads a response, and returns its status; an error if the connection ends.
    async fn response(&mut self) -> std::io::Result<u16> {
        let (status, length) = self.read_head().await?;
        while self.read.len() < length {
            self.read_more().await?;
        }
        self.read.drain(..length);
        Ok(status)
    }

    /// Reads the head of a response, and returns its status and its length.
    async fn read_head(&mut self) -> std::io::Result<(u16, usize)> {
        let end = loop {
            let mut windows = self.read.windows(4);
            if let Some(end) = windows.position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
            self.read_more().await?;
        };
        let head: Vec<_> = self.read.drain(..end).collect();
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("content-length: "));
        let length = length.map_or(0, |it| it.parse().unwrap());
        Ok((head[9..12].parse().unwrap(), length))
    }

    async fn read_more(&mut self) -> std::io::Result<()> {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.read)).await;
        match read.expect("the relay responds, or closes the connection")? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
