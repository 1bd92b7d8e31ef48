//! Stacks the layers of the request path: the only place that does.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either};
use hyper::body::Incoming;
use pyroscope_wire::error_response::RpcCode;
use pyrotee_net::server::GuardBody;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_http::body::UnsyncBoxBody;
use tower_http::catch_panic::CatchPanicLayer;

use crate::LocalWrites;
use crate::client::RequestContext;
use crate::discard::discard;
use crate::forward::{BackgroundReader, Forward, RelayError};
use crate::metrics::ProxyMetrics;
use crate::observe::{ObserveLayer, ObservedBody};
use crate::rescue::{LocalResponseBody, RescueLayer};
use crate::synthetic_response::{self, ResponseFormat, SyntheticBody};
use crate::tee::{LocalRequestBody, TeeLayer};

/// The body of a response above the layer that catches panics.
type CatchPanicBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a response of the whole request path.
pub(crate) type StackBody = ObservedBody<CatchPanicBody>;

/// The whole request path. It never fails: every error becomes a response.
pub(crate) type Stack = BoxCloneSyncService<Request<Incoming>, Response<StackBody>, Infallible>;

/// The innermost service of the request path: forwards requests to the upstream, or responds itself.
#[derive(Debug)]
pub(crate) struct LocalEndpoint {
    /// `None` if no upstream is configured.
    pub(crate) forward: Option<Forward<LocalRequestBody>>,
    pub(crate) background_reader: Arc<BackgroundReader>,
    pub(crate) metrics: Arc<ProxyMetrics>,
}

/// Stacks the layers in front of `endpoint`.
pub(crate) fn build(endpoint: LocalEndpoint, tee: TeeLayer, metrics: Arc<ProxyMetrics>) -> Stack {
    let endpoint = Arc::new(endpoint);
    let endpoint = service_fn(move |request| {
        let endpoint = Arc::clone(&endpoint);
        async move { endpoint.respond(request).await }
    });
    let stack = ServiceBuilder::new()
        // Outermost: measures what the client sees.
        .layer(ObserveLayer { metrics })
        // Below Observe, which counts the 500. A panic ends neither the connection nor the relay.
        .layer(CatchPanicLayer::custom(panicked))
        // Above the tee, which must see the error of a failed upstream.
        .layer(RescueLayer)
        // Innermost: records the requests that are relayed. Its body tells the endpoint the policy of the request, and
        // `discard` how the capture ended.
        .layer(tee)
        .service(endpoint);
    BoxCloneSyncService::new(stack)
}

impl LocalEndpoint {
    async fn respond(
        &self,
        request: Request<LocalRequestBody>,
    ) -> Result<Response<LocalResponseBody>, RelayError> {
        let policy = request.body().local_policy();
        if policy.local_writes == LocalWrites::Discard
            && let Some(surface) = RequestContext::surface_of(&request)
        {
            let format = ResponseFormat::of(&request, surface);
            return Ok(discard(request.into_body(), format, &self.metrics)
                .await
                .map(Either::Right));
        }
        match &self.forward {
            Some(forward) => {
                let relayed = forward.relay(request, policy.max_rest_bytes);
                Ok(relayed.await?.map(Either::Left))
            }
            None => {
                let body = request.into_body();
                self.background_reader
                    .read_rest(body, policy.max_rest_bytes);
                let message = "no upstream is configured: only ingestion is served here";
                let status = StatusCode::NOT_FOUND;
                let response = synthetic_response::error(status, RpcCode::NotFound, message);
                Ok(response.map(Either::Right))
            }
        }
    }
}

/// The response to a request whose head is too large. Such a request does not pass the layers.
pub(crate) fn head_too_large() -> Response<StackBody> {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let message = "the head of the request is too large";
    let response = synthetic_response::error(status, RpcCode::ResourceExhausted, message);
    response.map(|body| GuardBody::new(CatchPanicBody::new(body.map_err(Into::into)), None))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response<SyntheticBody> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(
        panic = text,
        "a request made the relay panic, which is a bug"
    );
    synthetic_response::error(
        StatusCode::INTERNAL_SERVER_ERROR,
        RpcCode::Internal,
        "internal error of the relay",
    )
}
