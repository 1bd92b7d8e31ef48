//! The HTTP/2 connection to the upstream, for gRPC calls only.
//!
//! hyper-util's pool sends the authority that it connects to, but a gRPC server must see the authority
//! that the client sent. So [`GrpcClient`] keeps a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http::uri::{Parts, PathAndQuery};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pyrotee_net::{Connector, ExchangeError};
use tokio::sync::Mutex;
use tower::BoxError;

use super::ForwardError;

/// Interval between HTTP/2 pings on a connection with calls in flight, and the timeout of each ping.
/// gRPC calls have no other timeout.
const PING: Duration = Duration::from_secs(20);

/// Sends gRPC calls over one connection, which is opened by the first call.
#[derive(Debug)]
pub(super) struct GrpcClient<B> {
    connector: Connector,
    origin: Uri,
    /// Locked while connecting, so that concurrent calls wait for the same connection.
    connection: Mutex<Option<SendRequest<B>>>,
}

impl<B> GrpcClient<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(connector: Connector, origin: Uri) -> Self {
        Self {
            connector,
            origin,
            connection: Mutex::new(None),
        }
    }

    /// Sends one call. `upstream_uri` has the upstream's authority and the client's path.
    pub(super) async fn send(
        &self,
        mut request: Request<B>,
        upstream_uri: &Uri,
    ) -> Result<Response<Incoming>, ForwardError> {
        *request.uri_mut() = keep_authority(request.uri(), upstream_uri);
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().remove(http::header::HOST);
        let mut sender = self.sender().await?;
        let mut error = match sender.try_send_request(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        // The connection closed before anything was sent, so the call can use another one.
        let Some(request) = error.take_message() else {
            return Err(ExchangeError::reset(error.into_error().to_string()).into());
        };
        *self.connection.lock().await = None;
        let mut sender = self.sender().await?;
        sender
            .send_request(request)
            .await
            .map_err(|error| ExchangeError::reset(error.to_string()).into())
    }

    async fn sender(&self) -> Result<SendRequest<B>, ExchangeError> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let io = self.connector.open(self.origin.clone()).await?;
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .handshake::<_, B>(io)
            .await;
        let (sender, driver) =
            handshake.map_err(|error| ExchangeError::reset(error.to_string()))?;
        hyper::rt::Executor::execute(&TokioExecutor::new(), async move {
            if let Err(error) = driver.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "grpc connection failed"
                );
            }
        });
        *connection = Some(sender.clone());
        Ok(sender)
    }
}

/// Returns `upstream_uri` with the client's authority, which becomes `:authority`.
fn keep_authority(client: &Uri, upstream_uri: &Uri) -> Uri {
    let mut parts = Parts::default();
    parts.scheme = upstream_uri.scheme().cloned();
    parts.authority = client.authority().or(upstream_uri.authority()).cloned();
    parts.path_and_query = upstream_uri
        .path_and_query()
        .cloned()
        .or(Some(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_else(|_| upstream_uri.clone())
}
