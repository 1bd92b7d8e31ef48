//! Stands in for the upstream when local writes are disabled.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use pyroscope_wire::answer::{Code, bad_name};
use pyrotee_queue::Reason;

use crate::answer::{Manner, OwnBody};
use crate::tee::{Outcome, TeeBody};

/// Reads `body` to its end and says what became of the profile, as a Pyroscope would.
pub(crate) async fn discard<B>(mut body: TeeBody<B>, manner: Manner) -> Response<OwnBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if frame.is_err() || body.is_end_stream() {
            break;
        }
    }
    answer(body.into_outcome(), manner).await
}

async fn answer(outcome: Outcome, manner: Manner) -> Response<OwnBody> {
    match outcome {
        Outcome::Offered(offered) if offered.queued == 0 && offered.refused > 0 => {
            manner.overloaded("every target's queue is full")
        }
        // A 200 must not lie: it waits for what the backend promises.
        Outcome::Offered(offered) => match offered.receipt.durable().await {
            true => manner.taken(),
            false => manner.overloaded("the profile could not be stored"),
        },
        Outcome::Undecided | Outcome::Repeated => manner.taken(),
        Outcome::Lost(Reason::TooLarge) => {
            manner.overloaded("the profile is larger than tee.max-body")
        }
        Outcome::Lost(_) => manner.overloaded("the memory limit is reached"),
        Outcome::InvalidName(fault) => manner.error(
            StatusCode::BAD_REQUEST,
            Code::InvalidArgument,
            &bad_name(&fault),
        ),
        // Pyroscope's answer to a body that breaks off, should the client still listen.
        Outcome::Incomplete => {
            manner.error(StatusCode::REQUEST_TIMEOUT, Code::Unknown, "unexpected EOF")
        }
        Outcome::NotUnderstood => manner.error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::Unimplemented,
            "the content type is none that Pyroscope takes here",
        ),
        Outcome::Loop | Outcome::Passed => manner.error(
            StatusCode::LOOP_DETECTED,
            Code::FailedPrecondition,
            "the profile has passed too many relays: a target leads back here",
        ),
    }
}
