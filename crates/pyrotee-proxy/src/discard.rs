//! Stands in for the upstream when local writes are disabled.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use pyrotee_queue::Reason;

use crate::answer::{self, AnswerBody};
use crate::tee::{Outcome, TeeBody};

/// Reads `body` to its end and says what became of the profile, as a Pyroscope would.
pub(crate) async fn discard<B>(mut body: TeeBody<B>) -> Response<AnswerBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if frame.is_err() || body.is_end_stream() {
            break;
        }
    }
    answer_for(body.into_outcome()).await
}

async fn answer_for(outcome: Outcome) -> Response<AnswerBody> {
    match outcome {
        Outcome::Offered(offered) if offered.taken == 0 && offered.refused > 0 => {
            answer::overloaded("every target's queue is full")
        }
        // A 200 must not lie: it waits for what the backend promises.
        Outcome::Offered(offered) if !offered.receipt.durable().await => {
            answer::overloaded("the profile could not be stored")
        }
        Outcome::Offered(_) | Outcome::Undecided => answer::taken(),
        Outcome::Lost(Reason::TooLarge) => answer::overloaded("the profile is larger than tee.max-body"),
        Outcome::Lost(_) => answer::overloaded("the memory limit is reached"),
        Outcome::InvalidName(fault) => {
            let message = format!("name: {fault}");
            answer::error(StatusCode::BAD_REQUEST, "invalid_argument", &message)
        }
        // Pyroscope's answer to a body that breaks off, should the client still listen.
        Outcome::Incomplete => {
            answer::error(StatusCode::REQUEST_TIMEOUT, "unknown", "unexpected EOF")
        }
        Outcome::Passed => answer::error(
            StatusCode::LOOP_DETECTED,
            "failed_precondition",
            "the profile has passed too many relays: a target leads back here",
        ),
    }
}
