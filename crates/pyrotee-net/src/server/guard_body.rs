//! A body that carries a value and drops it when the body ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// A value that a [`GuardBody`] carries, and that acts when it is dropped.
pub trait BodyGuard {
    /// Called with the body's trailers, if it has any.
    fn trailers(&mut self, _trailers: &HeaderMap) {}
}

pin_project! {
    /// Passes `inner` on unchanged, and drops the guard at its end, at its failure, or when the
    /// body itself is dropped, whichever comes first.
    #[derive(Debug)]
    pub struct GuardBody<B, G> {
        #[pin]
        inner: B,
        guard: Option<G>,
    }
}

impl<B, G> GuardBody<B, G> {
    /// Carries `guard`, if there is one, until the end of `inner`.
    pub fn new(inner: B, guard: Option<G>) -> Self {
        Self { inner, guard }
    }
}

impl<B: Body, G: BodyGuard> Body for GuardBody<B, G> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut inner = this.inner;
        let frame = ready!(inner.as_mut().poll_frame(cx));
        let Some(guard) = this.guard.as_mut() else {
            return Poll::Ready(frame);
        };
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            guard.trailers(trailers);
        }
        // A body with a length is not polled again after its last frame.
        if !matches!(frame, Some(Ok(_))) || inner.is_end_stream() {
            *this.guard = None;
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
