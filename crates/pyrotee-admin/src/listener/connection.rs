//! Serves one connection of the admin listener.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::BoxError;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pyrotee_net::server::{GuardBody, TimedIo, has_client_certificate, poll_deadline};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::either::Either;
use tower::{Service, ServiceExt as _};

use super::activity::RequestGuard;
use super::connections::Place;
use crate::AdminTls;
use crate::connection_info::ConnectionInfo;
use crate::response::RequestTimeout;

/// Longest head of a request, and most buffered bytes of a response. The buffers of hundreds of connections take some
/// megabytes.
const BUFFER: usize = 16 * 1024;

/// Serves the requests of a connection, after its TLS handshake if there is one, until the connection ends, misses a
/// deadline, or makes room for another one.
pub(super) async fn serve<S, B>(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<AdminTls>,
    service: S,
    place: Place,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    // A page is written in pieces. With Nagle's algorithm a piece would wait for the acknowledgement of the one before.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "admin client is gone already");
        return;
    }
    let shaking = async {
        match tls {
            None => Some(Either::Left(socket)),
            Some(tls) => tls.accept(socket, peer).await,
        }
    };
    let accepted = tokio::select! {
        accepted = shaking => accepted,
        () = place.evicted() => {
            tracing::debug!("admin connection made room for another within its handshake");
            return;
        }
    };
    let Some(io) = accepted else { return };
    let info = ConnectionInfo {
        peer: peer.ip(),
        is_extra: place.is_extra(),
        has_certificate: has_client_certificate(&io),
    };
    let activity = place.activity();
    activity.timeouts.handshake_ended();
    let read_limit = Arc::new(AtomicU64::new(u64::MAX));
    let io = TimedIo::new(io, Arc::clone(&activity.timeouts), read_limit, ());
    let (request_timeout, requesting) = (place.request_timeout(), Arc::clone(activity));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(info);
        let guard = RequestGuard::begin(&requesting, request_timeout);
        let responding = service.clone().oneshot(request);
        async move {
            let Ok(response) = responding.await;
            if let Some(RequestTimeout(timeout)) = response.extensions().get() {
                guard.limit(*timeout);
            }
            Ok::<_, Infallible>(response.map(|body| GuardBody::new(body, Some(guard))))
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(!info.is_extra)
        .max_buf_size(BUFFER)
        // `Activity` has the deadline of a head, and the other deadlines.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(Instant::now()));
    let deadline = poll_fn(|cx| poll_deadline(timer.as_mut(), || activity.deadline(), cx));
    tokio::select! {
        biased;
        result = connection.as_mut() => if let Err(error) = result {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "admin connection failed"
            );
        },
        ended = deadline => tracing::debug!(?ended, "admin connection timed out"),
        () = place.evicted() => tracing::debug!("admin connection made room for another"),
    }
}
