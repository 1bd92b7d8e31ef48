//! Reads on when the upstream stops listening.
//!
//! hyper drops a body as soon as the upstream refuses, breaks or answers early. Two would lose by
//! that: the tee, whose recording would break off, and a client still writing, which would see a
//! reset instead of the answer (16 of 30 clients did). So what is left is read to its end, within
//! limits, by a task of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// How far the rest of a body is read.
#[derive(Debug)]
pub(crate) struct Lingering {
    pub(crate) tasks: TaskTracker,
    pub(crate) runtime: Handle,
    /// Bytes of rest.
    pub(crate) max_bytes: u64,
    /// Time for it.
    pub(crate) max_time: Duration,
}

/// A body that is read to its end even if whoever owns it loses interest.
#[derive(Debug)]
pub(crate) struct LingerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// `None` once there is nothing more to read.
    inner: Option<B>,
    lingering: Arc<Lingering>,
}

impl<B> LingerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    pub(crate) fn new(inner: B, lingering: Arc<Lingering>) -> Self {
        let inner = Some(inner).filter(|inner| !inner.is_end_stream());
        Self { inner, lingering }
    }
}

impl<B> Drop for LingerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else {
            return;
        };
        let lingering = Arc::clone(&self.lingering);
        let rest = read_rest(inner, lingering.max_bytes);
        let limited = async move {
            // Whoever is too slow, or sends too much, is cut off: the drop of the body does it.
            let _in_time = tokio::time::timeout(lingering.max_time, rest).await;
        };
        self.lingering.tasks.spawn_on(limited, &self.lingering.runtime);
    }
}

async fn read_rest<B>(mut body: B, mut left: u64)
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let read = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(read) {
            Some(rest) if !body.is_end_stream() => left = rest,
            _ => return,
        }
    }
}

impl<B> Body for LingerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || inner.is_end_stream() {
            self.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::sync::mpsc;

    use super::*;

    type Frames = mpsc::Receiver<Result<Frame<Bytes>, Infallible>>;

    /// A body of frames that the test sends.
    struct Sent(Frames);

    impl Body for Sent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(cx)
        }
    }

    fn lingering(max_bytes: u64) -> Arc<Lingering> {
        Arc::new(Lingering {
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            max_bytes,
            max_time: Duration::from_secs(30),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_body_is_read_to_its_end() {
        let (frames, inner) = mpsc::channel(1);
        drop(LingerBody::new(Sent(inner), lingering(1_000)));
        for _ in 0..10 {
            frames.send(Ok(Frame::data(Bytes::from_static(b"0123456789")))).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_is_read_up_to_the_limits_only() {
        let (frames, inner) = mpsc::channel(1);
        drop(LingerBody::new(Sent(inner), lingering(15)));
        for _ in 0..2 {
            frames.send(Ok(Frame::data(Bytes::from_static(b"0123456789")))).await.unwrap();
        }
        frames.closed().await;

        let (frames, inner) = mpsc::channel(1);
        let started = tokio::time::Instant::now();
        drop(LingerBody::new(Sent(inner), lingering(15)));
        frames.closed().await;
        assert_eq!(started.elapsed().as_secs(), 30);
    }
}
