//! The upstream's answer, looked at where the tee depends on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::verdict::Verdict;
use crate::head;

const GRPC_STATUS: HeaderName = HeaderName::from_static(pyroscope_wire::grpc::STATUS);

/// A recording that waits for what the upstream says. To drop it is to say that nothing came of it.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Verdict>);

impl Waiting {
    pub(super) fn new(verdict: &Arc<Verdict>) -> Self {
        Self(Arc::clone(verdict))
    }

    fn answered(self, success: bool) {
        self.0.answered(success);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // A client that left before the answer, an answer that broke off: no success is known. Where
        // one was known before, it stays.
        self.0.answered(false);
    }
}

pin_project! {
    /// The inner response.
    #[derive(Debug)]
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        waiting: Option<Waiting>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, waiting: Option<Waiting>) -> Self {
        Self { inner, waiting }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<AnswerBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        // An error is known before it becomes an answer.
        let mut waiting = this.waiting.take();
        let response = response?;
        // gRPC refuses with a 200 and says so in its trailers.
        let success = match grpc_status(response.headers()) {
            Some(status) => Some(status),
            None if response.status().is_success() && head::speaks_grpc(response.headers()) => None,
            None => Some(response.status().is_success()),
        };
        if let Some(success) = success
            && let Some(waiting) = waiting.take()
        {
            waiting.answered(success);
        }
        Poll::Ready(Ok(response.map(|inner| AnswerBody { inner, waiting })))
    }
}

/// Whether a gRPC call succeeded, if that is said here.
fn grpc_status(headers: &HeaderMap) -> Option<bool> {
    headers
        .get(GRPC_STATUS)
        .map(|status| status.as_bytes() == b"0")
}

pin_project! {
    /// The body of an answer, whose trailers may decide.
    #[derive(Debug)]
    pub(crate) struct AnswerBody<B> {
        #[pin]
        inner: B,
        waiting: Option<Waiting>,
    }
}

impl<B> AnswerBody<B> {
    /// A body that decides nothing.
    pub(crate) fn indifferent(inner: B) -> Self {
        Self {
            inner,
            waiting: None,
        }
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(status) = frame.trailers_ref().and_then(grpc_status)
            && let Some(waiting) = this.waiting.take()
        {
            waiting.answered(status);
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
