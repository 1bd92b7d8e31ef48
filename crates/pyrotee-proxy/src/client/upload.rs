//! The body of a request while it is uploaded, and the limit on how long it may stand still.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use pyrotee_net::server::UploadTimeout;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::BoxError;

use super::{STALL_TIMEOUT, UploadGuard};
use crate::metrics::{ProxyMetrics, TimeoutPhase};

pin_project! {
    /// Passes `inner` on, and fails when the client has sent nothing for [`STALL_TIMEOUT`]. Time in which the body is
    /// not polled does not count: then the relay waits for the upstream.
    #[derive(Debug)]
    pub(crate) struct UploadBody<B> {
        #[pin]
        inner: B,
        // `None` at the end of the body, and for a body without a time limit.
        upload: Option<Upload>,
    }
}

/// The upload of a body that has not ended.
#[derive(Debug)]
struct Upload {
    guard: UploadGuard,
    metrics: Arc<ProxyMetrics>,
    /// Fires when the client has sent nothing for too long; `None` until the relay first waits for the client.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the relay waits for the client, and the timer runs.
    waiting: bool,
}

impl<B> UploadBody<B> {
    /// A body whose upload `guard` counts as active. Without a guard, `inner` is passed on without a time limit.
    pub(crate) fn new(inner: B, guard: Option<UploadGuard>, metrics: &Arc<ProxyMetrics>) -> Self {
        let upload = guard.map(|guard| Upload {
            guard,
            metrics: Arc::clone(metrics),
            timer: None,
            waiting: false,
        });
        Self { inner, upload }
    }
}

impl Upload {
    /// Whether the client has sent nothing for [`STALL_TIMEOUT`]. Wakes the task of `cx` when that time has passed.
    fn is_stalled(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = || Instant::now() + STALL_TIMEOUT;
        let timer = match &mut self.timer {
            Some(timer) => {
                if !self.waiting {
                    timer.as_mut().reset(deadline());
                }
                timer
            }
            none => none.insert(Box::pin(sleep_until(deadline()))),
        };
        self.waiting = true;
        timer.as_mut().poll(cx).is_ready()
    }
}

impl<B: Body> Body for UploadBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        let mut inner = this.inner;
        let polled = inner.as_mut().poll_frame(cx);
        if let Some(upload) = this.upload.as_ref() {
            upload.guard.polled(polled.is_pending());
        }
        let Poll::Ready(frame) = polled else {
            return match this.upload.take_if(|upload| upload.is_stalled(cx)) {
                Some(stalled) => {
                    stalled.metrics.client_timeout(TimeoutPhase::Body);
                    stalled.guard.stalled();
                    Poll::Ready(Some(Err(UploadTimeout(STALL_TIMEOUT).into())))
                }
                None => Poll::Pending,
            };
        };
        // A body with a length is not polled again after its last frame.
        if !matches!(frame, Some(Ok(_))) || inner.is_end_stream() {
            *this.upload = None;
        }
        if let Some(upload) = this.upload
            && has_content(&frame)
        {
            upload.waiting = false;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Whether a frame is progress. An empty DATA frame is none, because a client can send any number of them.
fn has_content<D: Buf, E>(frame: &Option<Result<Frame<D>, E>>) -> bool {
    let data = frame
        .as_ref()
        .and_then(|frame| frame.as_ref().ok()?.data_ref());
    data.is_none_or(Buf::has_remaining)
}
