//! Reads the rest of a request's body when the upstream stops reading.
//!
//! hyper drops a request's body as soon as the upstream refuses, breaks or responds early. Without
//! further reading the tee's capture would stay incomplete, and a client that is still writing
//! would get a connection reset instead of the response (measured: 16 of 30 clients). So a
//! background task reads the rest, within limits of bytes and time. Before a response of the relay itself the rest is read
//! first: some clients, such as curl, stop sending when they see an error.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use pyrotee_net::server::ClientFault;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tower::BoxError;

use crate::metrics::ProxyMetrics;

/// Reads the rest of bodies in background tasks.
#[derive(Debug)]
pub(crate) struct BackgroundReader {
    pub(crate) tasks: TaskTracker,
    pub(crate) runtime: Handle,
    /// Maximum time that is spent per body.
    pub(crate) max_time: Duration,
    /// Counts bodies that fail because of their client.
    pub(crate) metrics: Arc<ProxyMetrics>,
}

impl BackgroundReader {
    /// Reads `body` in the background, to its end or for `max_bytes` bytes, unless it is empty.
    pub(crate) fn read_rest<B>(&self, body: B, max_bytes: u64)
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        if !body.is_end_stream() {
            self.spawn(body, max_bytes);
        }
    }

    /// Spawns a task that reads `body` to its end. After `max_bytes` bytes, or `max_time`, the task drops the body,
    /// which cuts the client off.
    fn spawn<B>(&self, body: B, max_bytes: u64)
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        self.tasks
            .spawn_on(self.read(body, max_bytes), &self.runtime);
    }

    /// Reads `body` to its end. After `max_bytes` bytes, or `max_time`, drops the body.
    fn read<B>(&self, mut body: B, max_bytes: u64) -> impl Future<Output = ()> + use<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let max_time = self.max_time;
        let metrics = Arc::clone(&self.metrics);
        let read = async move {
            let mut left = max_bytes;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame.map_err(|error| failed(error, &metrics)) else {
                    return;
                };
                let len = frame.data_ref().map_or(0, |data| data.len() as u64);
                match left.checked_sub(len) {
                    Some(rest) if !body.is_end_stream() => left = rest,
                    _ => return,
                }
            }
        };
        async move {
            // Timing out drops the body as well.
            let _in_time = tokio::time::timeout(max_time, read).await;
        }
    }
}

/// Counts a failed request body as a fault of its client. This module reads every body for the upstream to its end,
/// through the upstream's connection or in the background.
fn failed(error: impl Into<BoxError>, metrics: &ProxyMetrics) -> BoxError {
    let error = error.into();
    metrics.client_fault(ClientFault::of(&*error));
    error
}

/// A body whose rest is read in the background if it is dropped before its end.
#[derive(Debug)]
pub(crate) struct LingerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// `None` once the body has ended, or its rest was taken.
    inner: Option<B>,
    /// [`LingerBody::take_rest`] has taken the rest: a further read of this body gives an error, not an end.
    is_rest_taken: bool,
    reader: Arc<BackgroundReader>,
    /// Maximum number of bytes that are read in the background.
    max_rest_bytes: u64,
}

impl<B> LingerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(inner: B, reader: Arc<BackgroundReader>, max_rest_bytes: u64) -> Self {
        let inner = Some(inner).filter(|inner| !inner.is_end_stream());
        Self {
            inner,
            is_rest_taken: false,
            reader,
            max_rest_bytes,
        }
    }

    /// Takes the rest of the body, and returns a future that reads it within the limits; `None` if the body has ended.
    pub(crate) fn take_rest(&mut self) -> Option<impl Future<Output = ()> + use<B>> {
        let rest = self.inner.take()?;
        self.is_rest_taken = true;
        Some(self.reader.read(rest, self.max_rest_bytes))
    }
}

/// The rest of the body was taken.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the body is read elsewhere")]
struct RestTaken;

impl<B> Drop for LingerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn drop(&mut self) {
        // `is_end_stream` is not checked: over HTTP/2 it may have become true since the last frame, and the tee sees
        // that end only when it polls again.
        if let Some(inner) = self.inner.take() {
            self.reader.spawn(inner, self.max_rest_bytes);
        }
    }
}

impl<B> Body for LingerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else {
            return Poll::Ready(this.is_rest_taken.then(|| Err(RestTaken.into())));
        };
        let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
        let frame = frame.map(|frame| frame.map_err(|error| failed(error, &this.reader.metrics)));
        if !matches!(frame, Some(Ok(_))) || inner.is_end_stream() {
            this.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none() && !self.is_rest_taken
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
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

    fn reader() -> Arc<BackgroundReader> {
        Arc::new(BackgroundReader {
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            max_time: Duration::from_secs(30),
            metrics: ProxyMetrics::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_body_is_read_to_its_end() {
        let (frames, inner) = mpsc::channel(1);
        drop(LingerBody::new(Sent(inner), reader(), 1_000));
        for _ in 0..10 {
            frames
                .send(Ok(Frame::data(Bytes::from_static(b"0123456789"))))
                .await
                .unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_that_is_taken_is_read_to_its_end_and_is_no_end_for_another_reader() {
        let (frames, inner) = mpsc::channel(2);
        let mut body = LingerBody::new(Sent(inner), reader(), 1_000);
        let piece = || Ok(Frame::data(Bytes::from_static(b"0123456789")));
        frames.send(piece()).await.unwrap();
        body.frame().await.unwrap().unwrap();
        let rest = tokio::spawn(body.take_rest().unwrap());
        assert!(!body.is_end_stream());
        body.frame().await.unwrap().unwrap_err();
        assert!(body.take_rest().is_none(), "it was taken");
        // Nothing is left to read in the background.
        drop(body);
        frames.send(piece()).await.unwrap();
        assert!(!rest.is_finished());
        drop(frames);
        rest.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_is_read_up_to_the_limits_only() {
        let (frames, inner) = mpsc::channel(1);
        drop(LingerBody::new(Sent(inner), reader(), 15));
        for _ in 0..2 {
            frames
                .send(Ok(Frame::data(Bytes::from_static(b"0123456789"))))
                .await
                .unwrap();
        }
        frames.closed().await;

        let (frames, inner) = mpsc::channel(1);
        let started = tokio::time::Instant::now();
        drop(LingerBody::new(Sent(inner), reader(), 15));
        frames.closed().await;
        assert_eq!(started.elapsed().as_secs(), 30);
    }
}
