//! HTTP/2 towards the upstream, for gRPC alone.
//!
//! hyper-util's pool sends the authority that it connects to; a gRPC server must see the one that the
//! client meant. So the one connection that HTTP/2 needs is kept here.

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

/// How often a connection with calls on it is asked whether it still lives, and how long the answer
/// may take: calls have no other limit than their client's patience.
const PING: Duration = Duration::from_secs(20);

/// A connection to the upstream that is opened when it is needed.
#[derive(Debug)]
pub(super) struct GrpcClient<B> {
    connector: Connector,
    origin: Uri,
    /// Held while connecting: calls that come meanwhile wait for the same connection.
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

    /// Sends one call; `target` has the upstream's authority and the client's path.
    pub(super) async fn send(
        &self,
        mut request: Request<B>,
        target: &Uri,
    ) -> Result<Response<Incoming>, ForwardError> {
        *request.uri_mut() = keep_authority(request.uri(), target);
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().remove(http::header::HOST);
        let mut sender = self.sender().await?;
        let mut error = match sender.try_send_request(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        // The connection went away before the call got onto it: nothing was sent, so try another.
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

/// The client's authority with the upstream's scheme: what `:authority` says is the client's.
fn keep_authority(client: &Uri, target: &Uri) -> Uri {
    let mut parts = Parts::default();
    parts.scheme = target.scheme().cloned();
    parts.authority = client.authority().or(target.authority()).cloned();
    parts.path_and_query = target
        .path_and_query()
        .cloned()
        .or(Some(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_else(|_| target.clone())
}
