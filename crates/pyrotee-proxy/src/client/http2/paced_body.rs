//! A response body that gives hyper each piece only after the client has taken the previous one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::stream::{Http2Stream, Piece};

pin_project! {
    /// Passes `inner` on. Over HTTP/2 it returns the next piece, or the end of the body, only after the previous piece
    /// was written. So a stream holds at most one piece, and stays open until that piece is written.
    #[derive(Debug)]
    pub(crate) struct PacedBody<B> {
        #[pin]
        inner: B,
        // `None` over HTTP/1.1.
        stream: Option<Http2Stream>,
    }
}

impl<B> PacedBody<B> {
    pub(crate) fn new(inner: B, stream: Option<Http2Stream>) -> Self {
        Self { inner, stream }
    }
}

impl<B: Body<Data = Bytes>> Body for PacedBody<B> {
    type Data = Piece;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, B::Error>>> {
        let this = self.project();
        let stream = this.stream.as_ref();
        if stream.is_some_and(|stream| stream.progress().is_blocked_for(cx)) {
            return Poll::Pending;
        }
        let frame = ready!(this.inner.poll_frame(cx));
        let piece = |bytes| match stream {
            Some(stream) => Piece::of(stream, bytes),
            None => Piece::unwatched(bytes),
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        let stream = self.stream.as_ref();
        self.inner.is_end_stream() && !stream.is_some_and(|stream| stream.progress().is_blocked())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
