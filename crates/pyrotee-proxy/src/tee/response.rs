//! Reports the upstream's response to the verdict of a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, Response};
use pin_project_lite::pin_project;
use pyrotee_net::server::{BodyGuard, GuardBody};

use super::verdict::Verdict;
use crate::client::Client;
use crate::head;

const GRPC_STATUS: HeaderName = HeaderName::from_static(pyroscope_wire::grpc::STATUS);

/// The body of a response above the tee.
pub(crate) type TeeResponseBody<B> = GuardBody<B, VerdictGuard>;

/// Reports the upstream's response to a [`Verdict`]. Dropping the guard reports a failure, unless the response was
/// reported before.
#[derive(Debug)]
pub(crate) struct VerdictGuard {
    verdict: Arc<Verdict>,
    /// The client whose retry is to be recognised; `None` if the verdict does not concern retries.
    client: Option<Arc<Client>>,
}

impl VerdictGuard {
    pub(super) fn new(verdict: &Arc<Verdict>, client: Option<Arc<Client>>) -> Self {
        Self {
            verdict: Arc::clone(verdict),
            client,
        }
    }

    fn report(&self, success: bool) {
        self.verdict.set_response(success);
    }

    /// Whether the client has closed its side: it may have left and may retry, even if a response is still sent.
    fn may_be_retried(&self) -> bool {
        let client = self.client.as_ref();
        client.is_some_and(|client| client.timeouts.may_be_gone())
    }
}

impl BodyGuard for VerdictGuard {
    fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(success) = grpc_status(trailers) {
            self.report(success);
        }
    }
}

impl Drop for VerdictGuard {
    fn drop(&mut self) {
        // The client left before the response, or the response broke off. The first report counts, so
        // this one is ignored if the response was reported before.
        self.report(false);
    }
}

pin_project! {
    /// Resolves to the inner response, which the guard reports to the verdict.
    #[derive(Debug)]
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        guard: Option<VerdictGuard>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, guard: Option<VerdictGuard>) -> Self {
        Self { inner, guard }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<TeeResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Poll::Ready(response) = this.inner.poll(cx) else {
            // Dropping the guard reports a failure.
            let _retried = this.guard.take_if(|guard| guard.may_be_retried());
            return Poll::Pending;
        };
        // Taken first: if the request failed, dropping the guard reports the failure.
        let mut guard = this.guard.take();
        let response = response?;
        // gRPC refuses with a 200 and a status in its trailers.
        let success = match grpc_status(response.headers()) {
            Some(success) => Some(success),
            None if response.status().is_success() && head::speaks_grpc(response.headers()) => None,
            None => Some(response.status().is_success()),
        };
        if let Some(success) = success
            && let Some(guard) = guard.take()
        {
            guard.report(success);
        }
        Poll::Ready(Ok(response.map(|inner| GuardBody::new(inner, guard))))
    }
}

/// Returns whether a gRPC call succeeded; `None` if `headers` have no gRPC status.
fn grpc_status(headers: &HeaderMap) -> Option<bool> {
    headers
        .get(GRPC_STATUS)
        .map(|status| status.as_bytes() == b"0")
}
