//! Sends scraped profiles through the relay's own proxy.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use pyrotee_net::{Connector, ExchangeError};
use pyrotee_proxy::Entrance;
use pyrotee_scrape::{SendError, Sender};

/// Bytes of a response's body that are read: enough to show why a profile was refused.
const MAX_TEXT: usize = 4 * 1024;

/// Name of the relay in the URIs of requests, where the client needs one. It is not sent.
const RELAY: Authority = Authority::from_static("relay");

/// Sends requests over pipes to the proxy, each over a pipe of its own: opening one costs less than finding out whether
/// a kept one is stale.
#[derive(Debug)]
pub(super) struct ProxySender(legacy::Client<Connector, Full<Bytes>>);

impl ProxySender {
    pub(super) fn new(entrance: Entrance) -> Self {
        let connector = Connector::in_process(move || entrance.open());
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            // The proxy writes the name of the upstream.
            .set_host(false)
            .retry_canceled_requests(false)
            .build(connector);
        Self(client)
    }
}

impl Sender for ProxySender {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, SendError>> + Send + '_>> {
        Box::pin(async move {
            let mut request = request.map(Full::new);
            *request.uri_mut() = absolute(request.uri())?;
            let response = self.0.request(request).await;
            let response = response.map_err(|error| {
                let error = ExchangeError::pooled(&error, false);
                SendError::new(error.to_string())
            })?;
            let (head, mut body) = response.into_parts();
            let mut text = BytesMut::new();
            while text.len() < MAX_TEXT
                && let Some(frame) = body.frame().await
            {
                // The status counts, whatever becomes of the text.
                let Ok(frame) = frame else { break };
                let data = frame.into_data().unwrap_or_default();
                text.extend_from_slice(data.get(..MAX_TEXT).unwrap_or(&data));
            }
            text.truncate(MAX_TEXT);
            Ok(Response::from_parts(head, text.freeze()))
        })
    }
}

/// The URI as the client wants it. On the wire it is in origin form again.
fn absolute(uri: &Uri) -> Result<Uri, SendError> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(RELAY);
    Uri::from_parts(parts).map_err(|error| SendError::new(error.to_string()))
}
