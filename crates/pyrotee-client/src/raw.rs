//! Sends the bytes of an HTTP/1 request unchanged and reads the response.
//!
//! hyper cannot write given bytes as a request, so hyper only reads the response. A stand-in request makes
//! hyper expect a response; the bytes that hyper writes for the stand-in are discarded.

use std::pin::pin;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pyrotee_net::{ExchangeError, TrackedIo};
use tokio::io::AsyncWriteExt as _;

use super::exchange::{BoundedResponse, RequestError};

/// Writes the bytes of a request over a new connection, and reads the response with at most `limit` bytes of
/// its body.
pub(super) async fn exchange(
    io: TrackedIo,
    request: &[u8],
    limit: usize,
) -> Result<BoundedResponse, RequestError> {
    let connection_state = io.state().clone();
    let broken = |error: hyper::Error| ExchangeError::broken(&error, &connection_state, true);
    let (reader, mut writer) = tokio::io::split(io);
    let io = TokioIo::new(tokio::io::join(reader, tokio::io::sink()));
    let handshake = http1::handshake(io).await;
    let (mut sender, connection) =
        handshake.map_err(|error| RequestError::Broken(broken(error)))?;

    let stand_in = Request::new(Empty::<Bytes>::new());
    let mut reading = pin!(async {
        let response = sender.send_request(stand_in).await?;
        Ok(BoundedResponse::read(response, limit).await)
    });
    let mut connection = pin!(connection);
    let mut writing = pin!(async {
        writer.write_all(request).await?;
        writer.flush().await
    });
    let (mut open, mut written) = (true, None);
    loop {
        // The order matters: hyper must have "written" the stand-in before the server can have responded. A
        // response that comes before the whole request is written counts.
        tokio::select! {
            biased;
            _ = &mut connection, if open => open = false,
            response = &mut reading => return response.map_err(|error| match written {
                Some(Err(write)) => RequestError::Upload { write, read: broken(error) },
                _ => RequestError::Broken(broken(error)),
            }),
            result = &mut writing, if written.is_none() => written = Some(result),
        }
    }
}
