//! The two bodies of a request, each with what ends when it does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::RequestGuard;
use crate::client::{Client, Upload};

/// A body that the client owes; it is no longer owed when this is dropped.
#[derive(Debug)]
pub(super) struct Owed {
    client: Arc<Client>,
    _upload: Upload,
}

impl Owed {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self {
            _upload: client.uploads.begin(),
            client,
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.client.clock.received();
    }
}

pin_project! {
    /// A request's body. The clock of its connection runs until the last frame.
    #[derive(Debug)]
    pub(crate) struct OwedBody<B> {
        #[pin]
        inner: B,
        owed: Option<Owed>,
    }
}

impl<B> OwedBody<B> {
    pub(super) fn new(inner: B, owed: Option<Owed>) -> Self {
        Self { inner, owed }
    }
}

impl<B: Body> Body for OwedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut inner = this.inner;
        let frame = ready!(inner.as_mut().poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || inner.is_end_stream() {
            *this.owed = None;
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

pin_project! {
    /// An answer's body; its end is the request's.
    #[derive(Debug)]
    pub(crate) struct ObservedBody<B> {
        #[pin]
        inner: B,
        guard: Option<RequestGuard>,
    }
}

impl<B> ObservedBody<B> {
    pub(super) fn new(inner: B, guard: Option<RequestGuard>) -> Self {
        Self { inner, guard }
    }
}

impl<B: Body> Body for ObservedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
