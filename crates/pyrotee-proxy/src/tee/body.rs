//! A request's body that is captured while it streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::capture::{Capture, CaptureEnd};
use super::policy::LocalPolicy;

pin_project! {
    /// Passes `inner` on unchanged, and gives each frame to the capture.
    #[derive(Debug)]
    pub(crate) struct TeeBody<B> {
        #[pin]
        inner: B,
        capture: Option<Capture>,
        end: CaptureEnd,
        local: LocalPolicy,
    }
}

impl<B: Body<Data = Bytes>> TeeBody<B> {
    /// A body that is not captured, for the reason `end`.
    pub(super) fn passing(inner: B, end: CaptureEnd, local: LocalPolicy) -> Self {
        Self {
            inner,
            capture: None,
            end,
            local,
        }
    }

    /// A body that `capture` records.
    pub(super) fn recording(inner: B, capture: Capture, local: LocalPolicy) -> Self {
        if inner.is_end_stream() {
            // An empty body is never polled, so it ends here.
            return Self {
                inner,
                capture: None,
                end: capture.complete(),
                local,
            };
        }
        Self {
            inner,
            capture: Some(capture),
            end: CaptureEnd::Incomplete,
            local,
        }
    }

    /// Returns what the request's policy says besides the tee.
    pub(crate) fn local_policy(&self) -> LocalPolicy {
        self.local
    }

    /// Returns how the capture ended. Before the end of the body this is `Incomplete`.
    pub(crate) fn into_capture_end(self) -> CaptureEnd {
        self.end
    }
}

impl<B: Body<Data = Bytes>> Body for TeeBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let mut inner = this.inner;
        let Poll::Ready(frame) = inner.as_mut().poll_frame(cx) else {
            if let Some(capture) = this.capture {
                capture.wait();
            }
            return Poll::Pending;
        };
        let Some(capture) = this.capture.as_mut() else {
            return Poll::Ready(frame);
        };
        let ended = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    capture.push(data);
                }
                frame.is_trailers() || inner.is_end_stream()
            }
            Some(Err(_)) => {
                *this.capture = None;
                false
            }
            None => true,
        };
        if ended && let Some(capture) = this.capture.take() {
            *this.end = capture.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
