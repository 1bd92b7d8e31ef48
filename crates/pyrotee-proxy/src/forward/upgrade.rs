//! Tunnels for connections that switch protocols, such as WebSockets.
//!
//! A tunnel has no limit on its idle time, because a WebSocket may be silent for hours. TCP keepalive towards both
//! sides ends the tunnel when a side is gone.

use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio_util::task::TaskTracker;

use super::limits::UpstreamPermit;

/// Spawns a task for `response`, which is a 101: the task copies bytes between the client and the upstream until one of
/// them closes, and holds `permits` until then.
pub(super) fn tunnel(
    client: OnUpgrade,
    response: &mut Response<Incoming>,
    permits: [UpstreamPermit; 2],
    tasks: &TaskTracker,
) {
    debug_assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upstream = hyper::upgrade::on(response);
    tasks.spawn(async move {
        let _permits = permits;
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(both) => both,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "tunnel failed");
                return;
            }
        };
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        // An error is an end of the tunnel like any other.
        let _bytes = copy_bidirectional(&mut client, &mut upstream).await;
    });
}
