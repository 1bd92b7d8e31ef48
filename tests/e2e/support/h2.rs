//! HTTP/2 without TLS, for gRPC. A library may be used here, because its frames do not hide what the relay changes.

use std::{
    convert::Infallible,
    future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
    vec,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Frame, Incoming},
    client,
    http::{HeaderName, request, response},
    server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::timeout,
};

/// Longest time of an exchange.
const LIMIT: Duration = Duration::from_secs(10);

/// A whole message, in either direction.
#[derive(Clone, Debug)]
pub(crate) struct Message<H> {
    pub(crate) head: H,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

/// Sends one request over a connection of its own (prior knowledge) and reads the answer.
pub(crate) fn send(relay: SocketAddr, request: Request<Full<Bytes>>) -> Message<response::Parts> {
    runtime().block_on(async {
        timeout(LIMIT, exchange(relay, request))
            .await
            .expect("an answer in time")
    })
}

async fn exchange(relay: SocketAddr, request: Request<Full<Bytes>>) -> Message<response::Parts> {
    let stream = TcpStream::connect(relay).await.expect("the relay accepts");
    let (mut sender, connection) =
        client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("the relay speaks HTTP/2");
    tokio::spawn(connection);
    let answer = sender
        .send_request(request)
        .await
        .expect("the relay answers");
    let (head, body) = answer.into_parts();
    let (body, trailers) = read(body).await;
    Message {
        head,
        body,
        trailers,
    }
}

/// A stand-in for a gRPC server without TLS.
#[derive(Debug)]
pub(crate) struct GrpcUpstream {
    address: SocketAddr,
    seen: Arc<Seen>,
    /// Dropping this ends the server.
    _stop: oneshot::Sender<()>,
}

/// What a stand-in does with a call after it has received all of it.
#[derive(Clone, Debug)]
pub(crate) enum GrpcAnswer {
    /// The request's body in two frames, and `grpc-status: 0` in the trailers.
    Echo,
    /// Head, body in two frames, trailers; without a body and trailers the head ends the call.
    Call {
        head: &'static [(&'static str, &'static str)],
        body: Vec<u8>,
        trailers: &'static [(&'static str, &'static str)],
    },
    Never,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Mutex<Vec<Message<request::Parts>>>,
    connections: AtomicUsize,
    /// Calls that their client reset before the response.
    abandoned: AtomicUsize,
}

type Script = Arc<dyn Fn(usize) -> GrpcAnswer + Send + Sync>;

impl GrpcUpstream {
    /// Echoes every call.
    pub(crate) fn start() -> Self {
        Self::script(|_| GrpcAnswer::Echo)
    }

    /// Answers by the number of the call, from 0.
    pub(crate) fn script(script: impl Fn(usize) -> GrpcAnswer + Send + Sync + 'static) -> Self {
        let (seen, script) = (Arc::<Seen>::default(), Arc::new(script));
        let kept = Arc::clone(&seen);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        listener
            .set_nonblocking(true)
            .expect("a listener can be non-blocking");
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            runtime().block_on(async {
                let listener = TcpListener::from_std(listener).expect("it is non-blocking");
                tokio::spawn(accept(listener, kept, script));
                // The end of the runtime ends every task on it.
                drop(stopped.await);
            })
        });
        Self {
            address,
            seen,
            _stop: stop,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Message<request::Parts>> {
        self.seen.lock().clone()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Calls that their client gave up (RST_STREAM, or the end of the connection).
    pub(crate) fn abandoned(&self) -> usize {
        self.seen.abandoned.load(Ordering::SeqCst)
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Vec<Message<request::Parts>>> {
        self.requests
            .lock()
            .expect("no thread of the stand-in panicked")
    }
}

async fn accept(listener: TcpListener, seen: Arc<Seen>, script: Script) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
        let service = service_fn(move |request| {
            let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
            async move { Ok::<_, Infallible>(serve(request, &seen, &script).await) }
        });
        let mut builder = server::conn::http2::Builder::new(TokioExecutor::new());
        builder.auto_date_header(false);
        tokio::spawn(async move {
            drop(
                builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn serve(request: Request<Incoming>, seen: &Arc<Seen>, script: &Script) -> Response<Frames> {
    let (head, body) = request.into_parts();
    let (body, trailers) = read(body).await;
    let message = Message {
        head,
        body: body.clone(),
        trailers,
    };
    let number = {
        let mut requests = seen.lock();
        requests.push(message);
        requests.len() - 1
    };
    match script(number) {
        GrpcAnswer::Echo => {
            let trailers = [("grpc-status", "0"), ("grpc-message", "all-of-it")];
            answer(&[], &body, &trailers)
        }
        GrpcAnswer::Call {
            head,
            body,
            trailers,
        } => answer(head, &body, trailers),
        GrpcAnswer::Never => {
            let _told = Abandoned(Arc::clone(seen));
            future::pending().await
        }
    }
}

/// Counts a call whose stream was reset: hyper drops the call's future, and that is all that a server notices.
struct Abandoned(Arc<Seen>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.abandoned.fetch_add(1, Ordering::SeqCst);
    }
}

fn answer(head: &[(&str, &str)], body: &[u8], trailers: &[(&str, &str)]) -> Response<Frames> {
    let mut frames = Vec::new();
    let (first, second) = body.split_at(body.len() / 2);
    for piece in [first, second] {
        frames.extend((!piece.is_empty()).then(|| Frame::data(Bytes::copy_from_slice(piece))));
    }
    if !trailers.is_empty() {
        frames.push(Frame::trailers(fields(trailers)));
    }
    let mut response = Response::new(Frames(frames.into_iter()));
    *response.headers_mut() = fields(head);
    let kind = "application/grpc".parse().expect("a word is a value");
    response.headers_mut().insert("content-type", kind);
    response
}

fn fields(fields: &[(&str, &str)]) -> HeaderMap {
    let parsed = fields.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a test knows names");
        (name, value.parse().expect("a test knows values"))
    });
    parsed.collect()
}

/// A body of given frames.
struct Frames(vec::IntoIter<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.len() == 0
    }
}

async fn read(mut body: Incoming) -> (Vec<u8>, HeaderMap) {
    let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.expect("the body arrives whole").into_data() {
            Ok(bytes) => data.extend_from_slice(&bytes),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    (data, trailers)
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built")
}
