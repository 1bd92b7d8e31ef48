//! Responds in place of the upstream when local writes are disabled.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use pyroscope_wire::error_response::{RpcCode, invalid_name_message};
use pyrotee_net::server::ClientFault;
use pyrotee_queue::{OfferResult, Reason, Unfit};
use tower::BoxError;

use crate::metrics::ProxyMetrics;
use crate::synthetic_response::{ResponseFormat, SyntheticBody};
use crate::tee::{CaptureEnd, TeeBody};

/// Reads `body` to its end and returns the response that Pyroscope would give. The response depends on how the capture
/// of the profile ended.
pub(crate) async fn discard<B>(
    mut body: TeeBody<B>,
    format: ResponseFormat,
    metrics: &ProxyMetrics,
) -> Response<SyntheticBody>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    while let Some(frame) = body.frame().await {
        if let Err(error) = frame {
            let error: BoxError = error.into();
            let fault = ClientFault::of(&*error);
            metrics.client_fault(fault);
            if fault == ClientFault::Malformed {
                return bad_request("the request's body is not framed as HTTP requires", format);
            }
            break;
        }
        if body.is_end_stream() {
            break;
        }
    }
    respond(body.into_capture_end(), format).await
}

async fn respond(end: CaptureEnd, format: ResponseFormat) -> Response<SyntheticBody> {
    match end {
        CaptureEnd::Offered(offered) => respond_offered(offered, format).await,
        CaptureEnd::Unchecked(record) => match record.decide().await {
            Ok(offered) => respond_offered(offered, format).await,
            Err(Unfit::Unreadable(message)) => bad_request(&message, format),
            Err(Unfit::TooLarge) => too_large(
                "the profile cannot be unpacked within a quarter of memory-limit",
                format,
            ),
        },
        CaptureEnd::Deferred | CaptureEnd::Duplicate => format.success(),
        CaptureEnd::Dropped(Reason::TooLarge) => too_large(
            "the profile is larger than tee.max-body or memory-limit",
            format,
        ),
        CaptureEnd::Dropped(Reason::UploadFailed) => format.error(
            StatusCode::REQUEST_TIMEOUT,
            RpcCode::Unknown,
            "the profile arrived too slowly",
        ),
        CaptureEnd::Dropped(_) => format.overloaded("the memory limit is reached"),
        CaptureEnd::InvalidName(fault) => bad_request(&invalid_name_message(&fault), format),
        // Pyroscope's response to a body that breaks off; the client may still read it.
        CaptureEnd::Incomplete => format.error(
            StatusCode::REQUEST_TIMEOUT,
            RpcCode::Unknown,
            "unexpected EOF",
        ),
        CaptureEnd::NotUnderstood => format.error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            RpcCode::Unimplemented,
            "Pyroscope does not accept this content type on this path",
        ),
        CaptureEnd::Loop | CaptureEnd::NotRecorded => format.error(
            StatusCode::LOOP_DETECTED,
            RpcCode::FailedPrecondition,
            "the profile has passed too many relays: a target leads back to this relay",
        ),
    }
}

async fn respond_offered(offered: OfferResult, format: ResponseFormat) -> Response<SyntheticBody> {
    if offered.oversized {
        return too_large("the profile is larger than any target's queue", format);
    }
    match (offered.queued, offered.refused) {
        // A reload has removed the last target since the head of the request arrived.
        (0, 0) => return format.overloaded("no target is left"),
        (0, _) => return format.overloaded("every target's queue is full"),
        _ => {}
    }
    // A 200 promises that the queue's backend keeps the record, so the response waits until the record is durable.
    match offered.receipt.durable().await {
        true => format.success(),
        false => format.overloaded("the profile could not be stored"),
    }
}

fn bad_request(message: &str, format: ResponseFormat) -> Response<SyntheticBody> {
    format.error(StatusCode::BAD_REQUEST, RpcCode::InvalidArgument, message)
}

/// Returns a 413. Unlike a 503, it does not ask the client to try again.
fn too_large(message: &str, format: ResponseFormat) -> Response<SyntheticBody> {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    format.error(status, RpcCode::InvalidArgument, message)
}
