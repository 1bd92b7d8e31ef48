//! Copies, and those who carry them.

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
    HeaderMap, Request, Uri,
    body::{Body, Frame, SizeHint},
    header::CONTENT_TYPE,
};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tokio::sync::{Mutex, mpsc};

/// Copies that may wait for one mirror.
const QUEUE: usize = 10_000;

/// Uploads to one mirror at once.
const WORKERS: usize = 16;

/// What a mirror gets.
#[derive(Debug)]
pub(super) struct Copy {
    path: String,
    headers: HeaderMap,
    pub(super) frames: Vec<Bytes>,
}

impl Copy {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(value) = request.headers().get(CONTENT_TYPE) {
            // A copy: a clone would keep the buffer in which hyper has read it.
            let value = http::HeaderValue::from_bytes(value.as_bytes());
            headers.insert(CONTENT_TYPE, value.expect("it was one"));
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
}

#[derive(Debug)]
pub(super) struct Mirror(mpsc::Sender<Arc<Copy>>);

impl Mirror {
    pub(super) fn start(to: SocketAddr) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let (queue, client) = (Arc::new(Mutex::new(queue)), super::client());
        for _ in 0..WORKERS {
            tokio::spawn(work(Arc::clone(&queue), client.clone(), to));
        }
        Self(sender)
    }

    /// Full is full: the copy is lost.
    pub(super) fn offer(&self, copy: &Arc<Copy>) {
        drop(self.0.try_send(Arc::clone(copy)));
    }
}

async fn work(
    queue: Arc<Mutex<mpsc::Receiver<Arc<Copy>>>>,
    client: Client<HttpConnector, Frames>,
    to: SocketAddr,
) {
    loop {
        let next = queue.lock().await.recv().await;
        let Some(copy) = next else { return };
        let uri: Uri = format!("http://{to}{}", copy.path)
            .parse()
            .expect("it was a path");
        let mut request = Request::post(uri)
            .body(Frames::of(&copy))
            .expect("the address is good");
        *request.headers_mut() = copy.headers.clone();
        if let Ok(mut response) = client.request(request).await {
            // To its end, or the connection could not be used again.
            while let Some(Ok(_)) = response.body_mut().frame().await {}
        }
    }
}

/// A body in pieces whose length is known.
#[derive(Debug)]
struct Frames {
    left: VecDeque<Bytes>,
}

impl Frames {
    fn of(copy: &Copy) -> Self {
        let left = copy.frames.iter().cloned().collect();
        Self { left }
    }
}

impl Body for Frames {
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
