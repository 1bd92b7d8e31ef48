//! The result of one upload.

use std::time::Duration;

use http::StatusCode;
use pyroscope_wire::refusal::Meaning;
use pyrotee_net::{ExchangeError, ExchangeErrorKind};
use pyrotee_queue::Reason;

/// The result of one attempt to upload a record.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the result means for the record and for the target; `Err` if no request can be made of the record,
    /// with the reason of its drop.
    pub(crate) meaning: Result<Meaning, Reason>,
    /// `None` if there was no response.
    pub(crate) status: Option<StatusCode>,
    /// The response's body or the error, in one line without secrets; empty for a success.
    pub(crate) text: String,
    /// The response's `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    error: Option<ExchangeError>,
}

impl Outcome {
    /// The target acknowledged the profile.
    pub(crate) fn acked(status: StatusCode) -> Self {
        Self::response(status, Meaning::Taken, String::new(), None)
    }

    /// The target sent a response with `meaning`.
    pub(crate) fn response(
        status: StatusCode,
        meaning: Meaning,
        text: String,
        retry_after: Option<Duration>,
    ) -> Self {
        let meaning = match (meaning, retry_after) {
            // A `Retry-After` asks for a pause of all uploads.
            (Meaning::Transient, Some(_)) => Meaning::Throttled,
            (meaning, _) => meaning,
        };
        Self {
            meaning: Ok(meaning),
            status: Some(status),
            text,
            retry_after,
            error: None,
        }
    }

    /// There was no response. `written`: the whole request was written, so the target may have the profile.
    pub(crate) fn no_response(error: ExchangeError, written: bool) -> Self {
        let meaning = match error.kind() {
            ExchangeErrorKind::Tls => Meaning::Broken,
            _ if written && !error.is_connect() => Meaning::Ambiguous,
            _ => Meaning::Transient,
        };
        Self {
            meaning: Ok(meaning),
            status: None,
            text: error.to_string(),
            retry_after: None,
            error: Some(error),
        }
    }

    /// No request can be made of the record.
    pub(crate) fn unsendable(reason: Reason) -> Self {
        Self {
            meaning: Err(reason),
            status: None,
            text: reason.as_str().to_owned(),
            retry_after: None,
            error: None,
        }
    }

    /// The value of the `outcome` label: the meaning, or the reason of the drop.
    pub(crate) fn as_str(&self) -> &'static str {
        self.meaning.map_or_else(Reason::as_str, Meaning::as_str)
    }

    /// Whether connecting failed.
    pub(crate) fn is_connect(&self) -> bool {
        self.error.as_ref().is_some_and(ExchangeError::is_connect)
    }

    /// The status as the number that logs and status pages show.
    pub(crate) fn status_code(&self) -> Option<u16> {
        self.status.map(|status| status.as_u16())
    }

    /// Why there was no response; `None` if there was one, or no request.
    pub(crate) fn error_kind(&self) -> Option<ExchangeErrorKind> {
        self.error.as_ref().map(ExchangeError::kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_ambiguous_only_if_the_whole_request_was_written() {
        let meaning = |error, written| Outcome::no_response(error, written).meaning.unwrap();
        let reset = || ExchangeError::reset("reset");
        let timeout = |connecting| ExchangeError::timeout("late", connecting);
        assert_eq!(meaning(reset(), true), Meaning::Ambiguous);
        assert_eq!(meaning(reset(), false), Meaning::Transient);
        assert_eq!(meaning(timeout(false), true), Meaning::Ambiguous);
        assert_eq!(meaning(timeout(true), true), Meaning::Transient);
    }

    #[test]
    fn who_names_a_time_is_left_alone_until_then() {
        let after = Some(Duration::from_secs(5));
        let meaning = |meaning, after| {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let outcome = Outcome::response(status, meaning, String::new(), after);
            outcome.meaning.unwrap()
        };
        assert_eq!(meaning(Meaning::Transient, after), Meaning::Throttled);
        assert_eq!(meaning(Meaning::Transient, None), Meaning::Transient);
        assert_eq!(meaning(Meaning::Rejected, after), Meaning::Rejected);
    }
}
