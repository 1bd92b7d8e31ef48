//! The body that is recorded while it streams.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::capture::{Capture, Outcome};

pin_project! {
    /// Passes `inner` on, frame by frame, and shows each to the recording.
    #[derive(Debug)]
    pub(crate) struct TeeBody<B> {
        #[pin]
        inner: B,
        capture: Option<Capture>,
        outcome: Outcome,
    }
}

impl<B: Body<Data = Bytes>> TeeBody<B> {
    /// A body that nobody records, because of `outcome`.
    pub(super) fn passing(inner: B, outcome: Outcome) -> Self {
        Self {
            inner,
            capture: None,
            outcome,
        }
    }

    /// A body that `capture` records.
    pub(super) fn recording(inner: B, capture: Capture) -> Self {
        if inner.is_end_stream() {
            // Never polled: this is all there is.
            return Self {
                inner,
                capture: None,
                outcome: capture.complete(),
            };
        }
        Self {
            inner,
            capture: Some(capture),
            outcome: Outcome::Incomplete,
        }
    }

    /// What became of the profile; of use once the body has ended.
    pub(crate) fn into_outcome(self) -> Outcome {
        self.outcome
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
        let frame = ready!(inner.as_mut().poll_frame(cx));
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
            *this.outcome = capture.complete();
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
