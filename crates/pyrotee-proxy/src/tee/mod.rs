//! Records profiles while they stream past.
//!
//! Invariants:
//!
//! - No frame is delayed, changed or held: recording looks at what passes and copies or shares it.
//! - Only a body that arrived whole is offered. The end is seen at `None`, at trailers, or when the
//!   inner body says so after a frame: a body with a length is never polled again after its last.
//! - Nothing that goes wrong here is the client's business. It is counted, and the stream goes on.

mod body;
mod capture;
mod layer;
mod recorder;
mod repeats;
mod response;
mod verdict;

#[cfg(test)]
mod tests;

pub(crate) use body::TeeBody;
pub(crate) use capture::Outcome;
pub(crate) use layer::TeeLayer;
pub(crate) use recorder::{Recorder, Stake};
pub(crate) use repeats::Repeats;
use response::AnswerBody;

/// The body of an answer above the tee.
pub(crate) type TeedAnswer = AnswerBody<crate::answer::LocalAnswer>;

/// A profile that has passed more relays than this, by its [`pyrotee_net::HOPS`], is relayed and not teed.
pub(crate) const MAX_HOPS: u8 = 3;
