//! Records profiles while they stream to the upstream.
//!
//! Invariants:
//!
//! - The tee delays, changes or holds back no frame: it copies or shares each frame that passes.
//! - Only a complete body is offered. Its end is seen at `None`, at trailers, or when the inner body
//!   says so after a frame: a body with a length is not polled again after its last frame.
//! - A recording that waits for its client may be lost at any time, even while nobody polls its body: see `recordings`.
//! - A request has one policy from its head to its end, whatever changes meanwhile: see `policy`.
//! - A failure of the tee never affects the client. It is counted, and the stream goes on.

mod body;
mod capture;
mod layer;
mod lookalikes;
mod policy;
mod recorder;
mod recordings;
mod response;
mod slow_clients;
mod state;
mod unchecked;
mod verdict;

#[cfg(test)]
mod tests;

use hyper::body::Incoming;

use crate::client::UploadBody;

pub(crate) use body::TeeBody;
pub(crate) use capture::CaptureEnd;
pub(crate) use layer::TeeLayer;
pub(crate) use policy::Policies;
pub use policy::PolicyHandle;
pub(crate) use response::TeeResponseBody;
pub(crate) use state::TeeState;

/// The body of a request below the tee.
pub(crate) type LocalRequestBody = TeeBody<UploadBody<Incoming>>;

/// A profile that has passed more relays than this is forwarded and not teed.
pub(crate) const MAX_HOPS: u8 = 3;
