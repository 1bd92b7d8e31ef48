//! Responds in place of the upstream when local writes are disabled.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use pyroscope_wire::error_response::{RpcCode, invalid_name_message};
use pyrotee_queue::Reason;

use crate::synthetic_response::{ResponseFormat, SyntheticBody};
use crate::tee::{CaptureEnd, TeeBody};

/// Reads `body` to its end and returns the response that Pyroscope would give, by how the capture
/// of the profile ended.
pub(crate) async fn discard<B>(
    mut body: TeeBody<B>,
    format: ResponseFormat,
) -> Response<SyntheticBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(Ok(_)) = body.frame().await {
        if body.is_end_stream() {
            break;
        }
    }
    respond(body.into_capture_end(), format).await
}

async fn respond(end: CaptureEnd, format: ResponseFormat) -> Response<SyntheticBody> {
    match end {
        CaptureEnd::Offered(offered) if offered.queued == 0 && offered.refused > 0 => {
            format.overloaded("every target's queue is full")
        }
        // A 200 promises what the queue's backend promises, so it waits until that holds.
        CaptureEnd::Offered(offered) => match offered.receipt.durable().await {
            true => format.success(),
            false => format.overloaded("the profile could not be stored"),
        },
        CaptureEnd::Deferred | CaptureEnd::Duplicate => format.success(),
        CaptureEnd::Dropped(Reason::TooLarge) => {
            format.overloaded("the profile is larger than tee.max-body")
        }
        CaptureEnd::Dropped(_) => format.overloaded("the memory limit is reached"),
        CaptureEnd::InvalidName(fault) => format.error(
            StatusCode::BAD_REQUEST,
            RpcCode::InvalidArgument,
            &invalid_name_message(&fault),
        ),
        // Pyroscope's response to a body that breaks off; the client may still read it.
        CaptureEnd::Incomplete => format.error(
            StatusCode::REQUEST_TIMEOUT,
            RpcCode::Unknown,
            "unexpected EOF",
        ),
        CaptureEnd::NotUnderstood => format.error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            RpcCode::Unimplemented,
            "the content type is none that Pyroscope takes here",
        ),
        CaptureEnd::Loop | CaptureEnd::NotRecorded => format.error(
            StatusCode::LOOP_DETECTED,
            RpcCode::FailedPrecondition,
            "the profile has passed too many relays: a target leads back here",
        ),
    }
}
