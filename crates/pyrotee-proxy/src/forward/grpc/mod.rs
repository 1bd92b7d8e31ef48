//! Sends gRPC calls to the upstream over one HTTP/2 connection.
//!
//! hyper-util's pool sends the authority that it connects to, but a gRPC server must see the authority
//! that the client sent. So [`GrpcClient`] keeps a connection of its own.

mod connection;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Parts, PathAndQuery};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use pyrotee_net::server::GuardBody;
use pyrotee_net::{Connector, ExchangeError};
use pyrotee_queue::lock;
use tokio::sync::OnceCell;
use tower::BoxError;

use super::ForwardError;
use super::limits::{UpstreamPermit, acquire};
use crate::head;
use crate::upstream_limit::UpstreamLimit;
use connection::{GrpcConnection, connect};

/// An attempt to connect; holds the result once the attempt has ended. All calls that need a connection meanwhile wait
/// for this attempt.
type Attempt<B> = Arc<OnceCell<Result<GrpcConnection<B>, ExchangeError>>>;

/// Sends gRPC calls over one connection, which is opened by the first call.
#[derive(Debug)]
pub(super) struct GrpcClient<B> {
    connector: Connector,
    origin: Uri,
    /// Maximum time for connecting, and for waiting for a stream.
    timeout: Duration,
    attempt: Mutex<Attempt<B>>,
}

impl<B> GrpcClient<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(connector: Connector, origin: Uri, timeout: Duration) -> Self {
        Self {
            connector,
            origin,
            timeout,
            attempt: Mutex::default(),
        }
    }

    /// Sends one call. `upstream_uri` has the upstream's authority and the client's path. The response has no
    /// time limit.
    pub(super) async fn send(
        &self,
        mut request: Request<B>,
        upstream_uri: &Uri,
    ) -> Result<Response<GuardBody<Incoming, UpstreamPermit>>, ForwardError> {
        *request.uri_mut() = keep_authority(request.uri(), upstream_uri);
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().remove(HOST);
        let (mut connection, mut permit) = self.stream().await?;
        let sent = connection.sender.try_send_request(request).await;
        let mut error = match sent {
            Ok(response) => return Ok(guarded(response, permit)),
            Err(error) => error,
        };
        // The connection closed before anything was sent, so the call can use another one.
        let Some(request) = error.take_message() else {
            return Err(connection.broken(&error.into_error()).into());
        };
        self.forget(&connection);
        (connection, permit) = self.stream().await?;
        let sent = connection.sender.send_request(request).await;
        let response = sent.map_err(|error| connection.broken(&error))?;
        Ok(guarded(response, permit))
    }

    /// Returns the connection, and a permit for one of its streams.
    async fn stream(&self) -> Result<(GrpcConnection<B>, UpstreamPermit), ForwardError> {
        let attempt = self.attempt();
        let connecting =
            attempt.get_or_init(|| connect(&self.connector, &self.origin, self.timeout));
        let connection = connecting.await.clone()?;
        let permit = acquire(&connection.streams, self.timeout, UpstreamLimit::GrpcCalls).await?;
        Ok((connection, permit))
    }

    /// Returns the current attempt, or a new attempt if the current one has failed or its connection has ended.
    fn attempt(&self) -> Attempt<B> {
        let mut attempt = lock(&self.attempt);
        let is_over = match attempt.get() {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(connection)) => connection.sender.is_closed(),
        };
        if is_over {
            *attempt = Arc::default();
        }
        Arc::clone(&attempt)
    }

    /// Makes the next call open a new connection, unless another call has replaced `connection` already.
    fn forget(&self, connection: &GrpcConnection<B>) {
        let mut attempt = lock(&self.attempt);
        if let Some(Ok(current)) = attempt.get()
            && Arc::ptr_eq(&current.streams, &connection.streams)
        {
            *attempt = Arc::default();
        }
    }
}

fn guarded(
    response: Response<Incoming>,
    permit: UpstreamPermit,
) -> Response<GuardBody<Incoming, UpstreamPermit>> {
    response.map(|body| GuardBody::new(body, Some(permit)))
}

/// Returns `upstream_uri` with the client's host and port, which become `:authority`.
fn keep_authority(client: &Uri, upstream_uri: &Uri) -> Uri {
    let mut parts = Parts::default();
    parts.scheme = upstream_uri.scheme().cloned();
    let host = head::host_of(client);
    let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    parts.authority = host.or_else(|| upstream_uri.authority().cloned());
    parts.path_and_query = upstream_uri
        .path_and_query()
        .cloned()
        .or(Some(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_else(|_| upstream_uri.clone())
}

#[cfg(test)]
mod tests;
