//! Mirrors: bounded queues of captured requests, and the tasks that upload them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    HeaderMap, Method, Request, Uri,
    body::{Body, Frame, SizeHint},
    header::CONTENT_TYPE,
};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tokio::sync::{Mutex, mpsc};

/// Requests in the queue of one mirror; at this limit new requests are dropped.
const QUEUE: usize = 10_000;

/// Concurrent uploads to one mirror.
const WORKERS: usize = 16;

/// A request that is sent again to each mirror.
#[derive(Debug)]
pub(super) struct CapturedRequest {
    path: String,
    headers: HeaderMap,
    pub(super) frames: Vec<Bytes>,
}

impl CapturedRequest {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(value) = request.headers().get(CONTENT_TYPE) {
            // Copied, because a clone would pin hyper's read buffer.
            let value = http::HeaderValue::from_bytes(value.as_bytes());
            headers.insert(CONTENT_TYPE, value.expect("it was a valid value"));
        }
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        Self {
            path: path.to_owned(),
            headers,
            frames: Vec::new(),
        }
    }

    /// The address of the request at another server.
    pub(super) fn uri(&self, to: SocketAddr) -> Uri {
        let uri = format!("http://{to}{}", self.path).parse();
        uri.expect("the path was valid in the request")
    }
}

/// The queue of one mirror.
#[derive(Debug)]
pub(super) struct Mirror(mpsc::Sender<Arc<CapturedRequest>>);

impl Mirror {
    pub(super) fn start(to: SocketAddr) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let (queue, client) = (Arc::new(Mutex::new(queue)), super::client());
        for _ in 0..WORKERS {
            tokio::spawn(work(Arc::clone(&queue), client.clone(), to));
        }
        Self(sender)
    }

    /// Puts a request into the queue; a full queue drops the request.
    pub(super) fn offer(&self, copy: &Arc<CapturedRequest>) {
        drop(self.0.try_send(Arc::clone(copy)));
    }
}

async fn work(
    queue: Arc<Mutex<mpsc::Receiver<Arc<CapturedRequest>>>>,
    client: Client<HttpConnector, PiecesBody>,
    to: SocketAddr,
) {
    loop {
        let next = queue.lock().await.recv().await;
        let Some(copy) = next else { return };
        let mut request = Request::new(PiecesBody::of(&copy));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = copy.uri(to);
        *request.headers_mut() = copy.headers.clone();
        if let Ok(mut response) = client.request(request).await {
            // A connection can be reused only after its response was read to the end.
            while let Some(Ok(_)) = response.body_mut().frame().await {}
        }
    }
}

/// A body of several pieces with a known length.
#[derive(Debug)]
struct PiecesBody {
    left: VecDeque<Bytes>,
}

impl PiecesBody {
    fn of(copy: &CapturedRequest) -> Self {
        let left = copy.frames.iter().cloned().collect();
        Self { left }
    }
}

impl Body for PiecesBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.pop_front().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.iter().map(|data| data.len() as u64).sum())
    }
}
