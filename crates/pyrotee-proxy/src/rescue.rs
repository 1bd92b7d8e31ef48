//! Turns errors into responses: the only place where that happens.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body_util::Either;
use pin_project_lite::pin_project;
use pyrotee_net::server::GuardBody;
use tower::{Layer, Service};

use crate::forward::{RelayError, UpstreamResponseBody};
use crate::synthetic_response::SyntheticBody;
use crate::tee::TeeResponseBody;

/// The body of a response below the tee: from the upstream, or synthetic.
pub(crate) type LocalResponseBody = Either<UpstreamResponseBody, SyntheticBody>;

/// The body of a response above the tee: from the upstream, or synthetic.
type ResponseBody = TeeResponseBody<LocalResponseBody>;

/// Puts a [`Rescue`] in front of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RescueLayer;

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner }
    }
}

/// Responds to a request with an error when `inner` fails.
#[derive(Debug, Clone)]
pub(crate) struct Rescue<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Rescue<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = RelayError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A service that is not ready fails again when it is called; `call` responds then.
        self.inner.poll_ready(cx).map(|_error| Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture {
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    /// Resolves to the inner response, or to a synthetic one if `inner` fails.
    #[derive(Debug)]
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, RelayError>>,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.project().inner.poll(cx));
        Poll::Ready(Ok(result.unwrap_or_else(rescued)))
    }
}

fn rescued(error: RelayError) -> Response<ResponseBody> {
    error
        .into_response()
        .map(|body| GuardBody::new(Either::Right(body), None))
}
