//! A connection that both ends agreed to use for something else, such as a WebSocket.

use http::{Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio_util::task::TaskTracker;

/// If the upstream switched, carries bytes between it and `client` until one of them closes.
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
            // How a tunnel ends is between its two ends.
            let _bytes = copy_bidirectional(&mut client, &mut upstream).await;
        });
    }
    response
}
