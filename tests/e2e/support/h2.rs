//! HTTP/2 without TLS, for gRPC: here a library speaks, as frames say nothing about transparency.

use std::{
    array,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body, Frame, Incoming},
    client,
    http::{request, response},
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

/// Every exchange ends within this.
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

/// A stand-in for a gRPC server without TLS. It answers with the request's body, in two frames, and
/// with `grpc-status: 0` in the trailers.
#[derive(Debug)]
pub(crate) struct GrpcUpstream {
    address: SocketAddr,
    requests: Requests,
    /// Its end is the server's.
    _stop: oneshot::Sender<()>,
}

type Requests = Arc<Mutex<Vec<Message<request::Parts>>>>;

impl GrpcUpstream {
    pub(crate) fn start() -> Self {
        let requests = Requests::default();
        let kept = Arc::clone(&requests);
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
                tokio::spawn(accept(listener, kept));
                // The end of the runtime ends every task on it.
                drop(stopped.await);
            })
        });
        Self {
            address,
            requests,
            _stop: stop,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Message<request::Parts>> {
        self.requests
            .lock()
            .expect("no thread of the stand-in panicked")
            .clone()
    }
}

async fn accept(listener: TcpListener, requests: Requests) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let requests = Arc::clone(&requests);
        let service = service_fn(move |request: Request<Incoming>| {
            let requests = Arc::clone(&requests);
            async move {
                let (head, body) = request.into_parts();
                let (body, trailers) = read(body).await;
                let answer = grpc_answer(&body);
                let message = Message {
                    head,
                    body,
                    trailers,
                };
                requests
                    .lock()
                    .expect("no thread of the stand-in panicked")
                    .push(message);
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = server::conn::http2::Builder::new(TokioExecutor::new());
        builder.auto_date_header(false);
        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
    }
}

fn grpc_answer(body: &[u8]) -> Response<Frames> {
    let (first, second) = body.split_at(body.len() / 2);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a number is a value"));
    trailers.insert(
        "grpc-message",
        "all-of-it".parse().expect("a word is a value"),
    );
    let frames = [
        Frame::data(Bytes::copy_from_slice(first)),
        Frame::data(Bytes::copy_from_slice(second)),
        Frame::trailers(trailers),
    ];
    Response::builder()
        .status(StatusCode::OK)
        .header("content-type", "application/grpc")
        .body(Frames(frames.into_iter()))
        .expect("the answer is well formed")
}

/// A body that is known frame by frame.
struct Frames(array::IntoIter<Frame<Bytes>, 3>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(Ok))
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

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built")
}
