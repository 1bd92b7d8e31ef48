//! The body of a response, given to hyper as fast as the client takes it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::stream::{Http2Stream, Piece};

pin_project! {
    /// Passes `inner` on. Over HTTP/2 it does so piece by piece: the next one, and the end, once the client has taken
    /// the last. So a stream holds one piece, and it is open for as long as the piece is not written.
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
