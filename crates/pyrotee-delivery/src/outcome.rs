//! What came of an upload.

use http::StatusCode;
use pyrotee_net::Fault;
use pyrotee_queue::Reason;

/// What came of an upload.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The target has the profile.
    Sent,
    /// The target answered otherwise; the start of its answer.
    Answered(StatusCode, String),
    /// There was no answer.
    Failed(Fault),
    /// There was nothing to send.
    Unsendable(Reason),
}

impl Outcome {
    /// Why the record is lost; `None` if it is not.
    pub(crate) fn loss(&self) -> Option<Reason> {
        match self {
            Self::Sent => None,
            Self::Answered(..) | Self::Failed(_) => Some(Reason::UploadFailed),
            Self::Unsendable(reason) => Some(*reason),
        }
    }

    /// Whether the target could be reached; `None` if that was not tried.
    pub(crate) fn reached(&self) -> Option<bool> {
        match self {
            Self::Sent | Self::Answered(..) => Some(true),
            Self::Failed(fault) => Some(!fault.is_connect()),
            Self::Unsendable(_) => None,
        }
    }
}
