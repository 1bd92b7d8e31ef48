//! What has become of a scrape.

use pyrotee_net::ExchangeErrorKind;

use crate::fetch::FetchError;
use crate::metrics::{Failure, Skip};
use crate::status::Health;

/// What has become of a scrape, with a text for the status of the scrape target.
#[derive(Debug)]
pub(super) enum Outcome {
    Sent { is_reset: bool },
    Skipped(Skip, String),
    Failed(Failure, String),
}

impl Outcome {
    /// The outcome of a profile that was not received.
    pub(super) fn of(error: &FetchError) -> Self {
        let text = error.to_string();
        let failure = match error {
            FetchError::NoMemory => return Self::Skipped(Skip::Budget, text),
            FetchError::Exchange(error) if error.kind() == ExchangeErrorKind::Timeout => {
                Failure::Timeout
            }
            FetchError::Exchange(_) => Failure::Connect,
            FetchError::Status { .. } | FetchError::Redirect { .. } => Failure::Status,
            FetchError::TooLarge { .. } => Failure::TooLarge,
        };
        Self::Failed(failure, text)
    }

    /// State of the scrape target after this; `None`: as before.
    pub(super) fn health(&self) -> Option<Health> {
        match self {
            // The application has responded; the relay is at fault.
            Self::Sent { .. } | Self::Failed(Failure::Refused, _) => Some(Health::Up),
            Self::Skipped(Skip::Budget, _) => None,
            Self::Skipped(..) => Some(Health::Up),
            Self::Failed(..) => Some(Health::Down),
        }
    }

    /// Why nothing was sent.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Sent { .. } | Self::Skipped(Skip::First | Skip::Empty, _) => None,
            Self::Skipped(_, text) | Self::Failed(_, text) => Some(text),
        }
    }
}
