//! A body that can be sent once more, and that knows for whom an upload waits.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pyrotee_queue::lock;
use tokio::time::{Instant, sleep_until};

/// Bodies up to this size can be repeated: nearly every profile, and little to hold per request.
const REPLAYABLE: usize = 64 * 1024;

/// Hands the frames of `inner` on and keeps references to them while they are few.
#[derive(Debug)]
pub(crate) struct ReplayBody<B> {
    shared: Arc<Mutex<Shared<B>>>,
    /// Frames given out by this handle.
    given: usize,
    size: SizeHint,
}

#[derive(Debug)]
struct Shared<B> {
    inner: B,
    /// What has passed so far; `None` once it was too much or broke off.
    kept: Option<Vec<Bytes>>,
    kept_bytes: usize,
    /// The next frame is the client's to send: the upstream is waiting, not waited for.
    client_owes: bool,
    /// When the upstream last took something.
    moved: Instant,
}

/// Watches one upload for progress.
#[derive(Debug)]
pub(crate) struct Progress<B>(Arc<Mutex<Shared<B>>>);

impl<B: Body<Data = Bytes> + Unpin> ReplayBody<B> {
    pub(crate) fn new(inner: B) -> Self {
        let size = inner.size_hint();
        let shared = Shared {
            inner,
            kept: Some(Vec::new()),
            kept_bytes: 0,
            client_owes: false,
            moved: Instant::now(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            given: 0,
            size,
        }
    }

    /// Watches this upload, and its repetition.
    pub(crate) fn progress(&self) -> Progress<B> {
        Progress(Arc::clone(&self.shared))
    }
}

impl<B> Progress<B> {
    /// The same body from its start, if all that has passed was kept.
    pub(crate) fn replay(&self, size: SizeHint) -> Option<ReplayBody<B>> {
        let mut shared = lock(&self.0);
        shared.moved = Instant::now();
        let whole = shared.kept.is_some();
        whole.then(|| ReplayBody {
            shared: Arc::clone(&self.0),
            given: 0,
            size,
        })
    }

    /// Resolves when the upstream has neither taken a byte nor answered for `limit`. A client that
    /// is slow to send does not count: it has a limit of its own.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let (moved, client_owes) = {
                let shared = lock(&self.0);
                (shared.moved, shared.client_owes)
            };
            let now = Instant::now();
            let deadline = if client_owes {
                now + limit
            } else {
                moved + limit
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut shared = lock(&self.shared);
        let kept = shared
            .kept
            .as_ref()
            .and_then(|kept| kept.get(self.given))
            .cloned();
        if let Some(frame) = kept {
            drop(shared);
            self.given += 1;
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        let frame = Pin::new(&mut shared.inner).poll_frame(cx);
        shared.client_owes = frame.is_pending();
        shared.moved = Instant::now();
        if let Poll::Ready(Some(frame)) = &frame {
            shared.keep(frame);
            drop(shared);
            self.given += 1;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        shared
            .kept
            .as_ref()
            .is_none_or(|kept| self.given >= kept.len())
            && shared.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.given == 0 {
            self.size
        } else {
            SizeHint::default()
        }
    }
}

impl<B> Shared<B> {
    fn keep<E>(&mut self, frame: &Result<Frame<Bytes>, E>) {
        let data = frame.as_ref().ok().and_then(Frame::data_ref);
        self.kept_bytes += data.map_or(REPLAYABLE + 1, Bytes::len);
        match (&mut self.kept, data) {
            (Some(kept), Some(data)) if self.kept_bytes <= REPLAYABLE => kept.push(data.clone()),
            // Too long, trailers, or broken off: such a body is not worth a second try.
            _ => self.kept = None,
        }
    }
}
