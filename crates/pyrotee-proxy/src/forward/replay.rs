//! A request body that can be sent a second time, and that tells whether its upload has stalled.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pyrotee_queue::lock;
use tokio::time::{Instant, sleep_until};

/// Largest body that can be replayed, in bytes: larger than most profiles, and little to keep per request.
const MAX_REPLAY_BYTES: usize = 64 * 1024;

/// Passes `inner` on, and keeps its frames for a replay up to [`MAX_REPLAY_BYTES`].
#[derive(Debug)]
pub(crate) struct ReplayBody<B> {
    shared: Arc<Mutex<Shared<B>>>,
    size: SizeHint,
}

#[derive(Debug)]
struct Shared<B> {
    inner: B,
    /// All frames so far; `None` if the body cannot be replayed: too large, with trailers, or failed.
    kept: Option<Vec<Bytes>>,
    kept_bytes: usize,
    /// Number of frames that the body of the current attempt has returned.
    returned: usize,
    /// The upload waits for the client to send the next frame, not for the upstream.
    waits_for_client: bool,
    /// When the upstream last asked for a frame.
    last_progress: Instant,
}

/// Observes the upload of a [`ReplayBody`], and replays it.
#[derive(Debug)]
pub(crate) struct ReplayHandle<B>(Arc<Mutex<Shared<B>>>);

impl<B: Body<Data = Bytes> + Unpin> ReplayBody<B> {
    pub(crate) fn new(inner: B) -> Self {
        let size = inner.size_hint();
        let shared = Shared {
            inner,
            kept: Some(Vec::new()),
            kept_bytes: 0,
            returned: 0,
            waits_for_client: false,
            last_progress: Instant::now(),
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
    /// Returns the same body from its start; `None` if not all of its frames were kept.
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

    /// Whether the current attempt has taken the whole body.
    pub(crate) fn is_taken(&self) -> bool
    where
        B: Body,
    {
        lock(&self.0).is_taken()
    }

    /// Resolves when the upload has made no progress for `limit`: the upstream has neither asked for a
    /// frame nor responded. Time spent waiting for the client does not count: `ConnectionTimeouts`
    /// limits that.
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

impl<B: Body<Data = Bytes> + Unpin> Body for ReplayBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut shared = lock(&self.shared);
        let kept = shared
            .kept
            .as_ref()
            .and_then(|kept| kept.get(shared.returned))
            .cloned();
        if let Some(frame) = kept {
            shared.returned += 1;
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        let frame = Pin::new(&mut shared.inner).poll_frame(cx);
        shared.waits_for_client = frame.is_pending();
        shared.last_progress = Instant::now();
        if let Poll::Ready(Some(frame)) = &frame {
            shared.keep(frame);
            shared.returned += 1;
        }
        frame
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

impl<B> Shared<B> {
    fn is_taken(&self) -> bool
    where
        B: Body,
    {
        let kept = self.kept.as_ref();
        kept.is_none_or(|kept| self.returned >= kept.len()) && self.inner.is_end_stream()
    }

    fn keep<E>(&mut self, frame: &Result<Frame<Bytes>, E>) {
        let data = frame.as_ref().ok().and_then(Frame::data_ref);
        self.kept_bytes += data.map_or(MAX_REPLAY_BYTES + 1, Bytes::len);
        match (&mut self.kept, data) {
            (Some(kept), Some(data)) if self.kept_bytes <= MAX_REPLAY_BYTES => {
                kept.push(data.clone())
            }
            // Too large, with trailers, or failed.
            _ => self.kept = None,
        }
    }
}
