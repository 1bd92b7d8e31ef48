//! Tunnels for connections that switch protocols, such as WebSockets.

use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio_util::task::TaskTracker;

/// If `response` is a 101, spawns a task that copies bytes between the client and the upstream until
/// one of them closes.
pub(super) fn tunnel(
    client: OnUpgrade,
    mut response: Response<Incoming>,
    tasks: &TaskTracker,
) -> Response<Incoming> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upstream = hyper::upgrade::on(&mut response);
        tasks.spawn(async move {
            let (client, upstream) = match tokio::try_join!(client, upstream) {
                Ok(both) => both,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "no tunnel");
                    return;
                }
            };
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            // An error is an end of the tunnel like any other.
            let _bytes = copy_bidirectional(&mut client, &mut upstream).await;
        });
    }
    response
}
