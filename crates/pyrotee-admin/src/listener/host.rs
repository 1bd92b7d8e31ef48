//! Hosts a service on a socket: accepts every connection at any load, and serves each connection in a task of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::connection;
use super::connections::{Connections, Limits};
use crate::AdminTls;

/// How long accepting pauses when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the connections of `listener`, for ever. Each request has a
/// [`ConnectionInfo`](crate::connection_info::ConnectionInfo) in its extensions. The
/// extensions of a response may have a [`RequestTimeout`](crate::response::RequestTimeout).
pub(super) async fn run<S, B>(
    listener: TcpListener,
    tls: Option<AdminTls>,
    service: S,
    limits: Limits,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let connections = Arc::new(Connections::new(limits));
    let tasks = TaskTracker::new();
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = connections.enter();
        let connection = connection::serve(socket, peer, tls.clone(), service.clone(), place);
        tasks.spawn(connection);
    }
}
