//! The one place that stacks the layers.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Either;
use hyper::body::Incoming;
use pyroscope_wire::Surface;
use pyroscope_wire::error_response::RpcCode;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_http::body::UnsyncBoxBody;
use tower_http::catch_panic::CatchPanicLayer;

use crate::LocalWrites;
use crate::answer::{self, LocalAnswer, Manner, OwnBody};
use crate::discard::discard;
use crate::forward::{Forward, ForwardError, LingerBody, Lingering};
use crate::metrics::ProxyMetrics;
use crate::observe::{ObserveLayer, ObservedBody, OwedBody};
use crate::rescue::RescueLayer;
use crate::tee::{TeeBody, TeeLayer};

/// A request's body below the tee.
type LocalBody = TeeBody<OwedBody<Incoming>>;

/// An answer's body above everything that could panic.
type CaughtBody = UnsyncBoxBody<Bytes, BoxError>;

/// The whole request path. It never fails: every error has become an answer.
pub(crate) type Stack =
    BoxCloneSyncService<Request<Incoming>, Response<ObservedBody<CaughtBody>>, Infallible>;

/// The end of the request path: the local upstream, or what stands in for it.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) forward: Option<Forward<LocalBody>>,
    pub(crate) writes: LocalWrites,
    pub(crate) lingering: Arc<Lingering>,
}

/// Stacks the layers in front of `local`.
pub(crate) fn build(local: Local, tee: TeeLayer, metrics: Arc<ProxyMetrics>) -> Stack {
    let local = Arc::new(local);
    let local = service_fn(move |request| {
        let local = Arc::clone(&local);
        async move { local.answer(request).await }
    });
    let stack = ServiceBuilder::new()
        // Outermost: what it measures is what the client sees.
        .layer(ObserveLayer { metrics })
        // A panic is answered, counted as a 500, and ends neither the connection nor the relay.
        .layer(CatchPanicLayer::custom(panicked))
        // Above the tee, which must still see that the upstream failed.
        .layer(RescueLayer)
        // Innermost: it records what is relayed, and its body tells Discard what became of it.
        .layer(tee)
        .service(local);
    BoxCloneSyncService::new(stack)
}

impl Local {
    async fn answer(
        &self,
        request: Request<LocalBody>,
    ) -> Result<Response<LocalAnswer>, ForwardError> {
        if self.writes == LocalWrites::Discard
            && let Some(surface) = surface(&request)
        {
            let manner = Manner::of(&request, surface);
            return Ok(discard(request.into_body(), manner)
                .await
                .map(Either::Right));
        }
        match &self.forward {
            Some(forward) => Ok(forward.relay(request).await?.map(Either::Left)),
            None => {
                drop(LingerBody::new(
                    request.into_body(),
                    Arc::clone(&self.lingering),
                ));
                let message = "no upstream is configured: only ingestion is served here";
                Ok(
                    answer::error(StatusCode::NOT_FOUND, RpcCode::NotFound, message)
                        .map(Either::Right),
                )
            }
        }
    }
}

fn surface<B>(request: &Request<B>) -> Option<Surface> {
    Surface::recognise(request.method().as_str(), request.uri().path())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response<OwnBody> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(
        panic = text,
        "a request made the relay panic, which is a bug"
    );
    answer::error(
        StatusCode::INTERNAL_SERVER_ERROR,
        RpcCode::Internal,
        "internal error of the relay",
    )
}
