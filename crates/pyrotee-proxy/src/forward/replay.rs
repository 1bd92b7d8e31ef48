//! A request body that can be sent a second time, and that tells whether its upload has stalled.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pyrotee_net::server::ClientFault;
use pyrotee_queue::lock;
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

use super::kept_body::{KeptBody, MAX_BYTES};

/// Passes `inner` on, and keeps its data for a replay, up to the limit of [`KeptBody`].
#[derive(Debug)]
pub(crate) struct ReplayBody<B> {
    shared: Arc<Mutex<Shared<B>>>,
    size: SizeHint,
}

#[derive(Debug)]
struct Shared<B> {
    inner: B,
    /// All data so far; `None` if the body cannot be replayed: too large, with trailers, or failed.
    kept: Option<KeptBody>,
    /// The client has announced a body that is too large to keep.
    is_too_large: bool,
    /// Number of bytes that the body of the current attempt has returned.
    returned: usize,
    /// Whether the upload waits for the client to send the next frame, not for the upstream.
    waits_for_client: bool,
    /// When the upstream last asked for a frame.
    last_progress: Instant,
    /// Why the body failed.
    fault: Option<ClientFault>,
}

/// Observes the upload of a [`ReplayBody`], and replays it.
#[derive(Debug)]
pub(crate) struct ReplayHandle<B>(Arc<Mutex<Shared<B>>>);

impl<B: Body<Data = Bytes> + Unpin> ReplayBody<B> {
    pub(crate) fn new(inner: B) -> Self {
        let size = inner.size_hint();
        let shared = Shared {
            inner,
            kept: Some(KeptBody::default()),
            is_too_large: size.lower() > MAX_BYTES as u64,
            returned: 0,
            waits_for_client: false,
            last_progress: Instant::now(),
            fault: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            size,
        }
    }

    /// Returns a handle to this upload and to its replay.
    pub(crate) fn handle(&self) -> ReplayHandle<B> {
        ReplayHandle(Arc::clone(&self.shared))
    }
}

impl<B> ReplayHandle<B> {
    /// Returns the body again, from its start; `None` if the body was not kept as a whole.
    pub(crate) fn replay(&self, size: SizeHint) -> Option<ReplayBody<B>> {
        let mut shared = lock(&self.0);
        shared.last_progress = Instant::now();
        shared.returned = 0;
        let whole = shared.kept.is_some();
        whole.then(|| ReplayBody {
            shared: Arc::clone(&self.0),
            size,
        })
    }

    /// Restarts the time that [`ReplayHandle::stalled`] measures.
    pub(crate) fn restart(&self) {
        lock(&self.0).last_progress = Instant::now();
    }

    /// Whether the current attempt has taken the whole body.
    pub(crate) fn is_taken(&self) -> bool
    where
        B: Body,
    {
        lock(&self.0).is_taken()
    }

    /// Returns why the body failed; `None` if it did not fail. After such a failure the exchange ended because of the
    /// client, not the upstream.
    pub(crate) fn client_fault(&self) -> Option<ClientFault> {
        lock(&self.0).fault
    }

    /// Applies `change` to the body below.
    pub(crate) fn with_inner<T>(&self, change: impl FnOnce(&mut B) -> T) -> T {
        change(&mut lock(&self.0).inner)
    }

    /// Resolves when the upload has made no progress for `limit`: the upstream has neither asked for a frame nor
    /// responded. Time spent waiting for the client does not count: `UploadBody` limits that time.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let (last_progress, waits_for_client) = {
                let shared = lock(&self.0);
                (shared.last_progress, shared.waits_for_client)
            };
            let now = Instant::now();
            let deadline = if waits_for_client {
                now + limit
            } else {
                last_progress + limit
            };
            if deadline <= now {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut shared = lock(&self.shared);
        let shared = &mut *shared;
        let kept = shared.kept.as_ref();
        if let Some(data) = kept.and_then(|kept| kept.piece_from(shared.returned)) {
            shared.returned += data.len();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let frame = Pin::new(&mut shared.inner).poll_frame(cx);
        shared.waits_for_client = frame.is_pending();
        shared.last_progress = Instant::now();
        Poll::Ready(match ready!(frame) {
            Some(Ok(frame)) => {
                shared.keep(&frame);
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = error.into();
                shared.fault = Some(ClientFault::of(&*error));
                shared.kept = None;
                Some(Err(error))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.shared).is_taken()
    }

    fn size_hint(&self) -> SizeHint {
        if lock(&self.shared).returned == 0 {
            self.size
        } else {
            SizeHint::default()
        }
    }
}

impl<B: Body> Shared<B> {
    fn is_taken(&self) -> bool {
        let kept = self.kept.as_ref();
        kept.is_none_or(|kept| self.returned >= kept.len()) && self.inner.is_end_stream()
    }

    /// Keeps the data of `frame`, which the current attempt returns. A body with trailers cannot be replayed.
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let is_last = self.inner.is_end_stream();
        self.returned += frame.data_ref().map_or(0, Bytes::len);
        let data = frame.data_ref();
        let kept = data.zip(self.kept.as_mut().filter(|_| !self.is_too_large));
        if !kept.is_some_and(|(data, kept)| kept.push(data, is_last)) {
            self.kept = None;
        }
    }
}
