//! The result of one upload.

use std::time::Duration;

use http::StatusCode;
use pyroscope_wire::Surface;
use pyroscope_wire::refusal::Meaning;
use pyrotee_net::{ExchangeError, ExchangeErrorKind};
use pyrotee_queue::{Reason, SurfaceId};

/// Longest pause for a quota reset that is obeyed: a target may name a time next month by mistake.
const MAX_QUOTA_PAUSE: Duration = Duration::from_secs(3_600);

/// The result of one attempt to upload a record.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the result means for the record and for the target. `Err` is the reason to drop the record, if no request
    /// can be made of it.
    pub(crate) meaning: Result<Meaning, Reason>,
    /// `None` if there was no response.
    pub(crate) status: Option<StatusCode>,
    /// The response's body or the error, in one line without secrets; empty for a success without a warning.
    pub(crate) text: String,
    /// The response's `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
    /// Time until the tenant's quota is reset, at most [`MAX_QUOTA_PAUSE`]; `None` unless the response names it.
    pub(crate) quota_reset: Option<Duration>,
    /// Profiles of an OTLP export that the target rejected although it acknowledged the request.
    pub(crate) rejected_part: u64,
    error: Option<ExchangeError>,
}

impl Outcome {
    /// The outcome of an upload that the target acknowledged.
    pub(crate) fn acked(status: StatusCode) -> Self {
        Self::response(status, Meaning::Taken, String::new(), None)
    }

    /// The outcome of an upload whose response has `meaning`.
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
            quota_reset: None,
            rejected_part: 0,
            error: None,
        }
    }

    /// Adds the time until the tenant's quota is reset.
    pub(crate) fn with_quota_reset(self, reset: Option<Duration>) -> Self {
        Self {
            quota_reset: reset.map(|reset| reset.min(MAX_QUOTA_PAUSE)),
            ..self
        }
    }

    /// Adds a partial success: how many profiles of an acknowledged export the target rejected, and why.
    pub(crate) fn with_partial_success(self, rejected_part: u64, text: String) -> Self {
        Self {
            rejected_part,
            text,
            ..self
        }
    }

    /// The pause that the target asks for: until the quota reset, or else its `Retry-After`.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.quota_reset.or(self.retry_after)
    }

    /// Why the target may have the record, or a part of it, although the upload failed. A retry may then double
    /// samples.
    pub(crate) fn doubling_cause(&self, surface: SurfaceId) -> Option<DoublingCause> {
        let is_push = Surface::from_id(surface.0) == Some(Surface::Push);
        match self.meaning {
            Ok(Meaning::Ambiguous) => Some(DoublingCause::Ambiguous),
            _ if self.status == Some(StatusCode::GATEWAY_TIMEOUT) => {
                Some(DoublingCause::GatewayTimeout)
            }
            Ok(Meaning::Throttled | Meaning::RecordLimit) if is_push => {
                Some(DoublingCause::PartialPush)
            }
            _ => None,
        }
    }

    /// The outcome of an upload without a response. `written`: the whole request was written, so the target may have
    /// the profile.
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
            quota_reset: None,
            rejected_part: 0,
            error: Some(error),
        }
    }

    /// The outcome for a record of which no request can be made.
    pub(crate) fn unsendable(reason: Reason) -> Self {
        Self {
            meaning: Err(reason),
            status: None,
            text: reason.as_str().to_owned(),
            retry_after: None,
            quota_reset: None,
            rejected_part: 0,
            error: None,
        }
    }

    /// The value of the `outcome` label: the meaning, or the reason of the drop.
    pub(crate) fn as_str(&self) -> &'static str {
        self.meaning.map_or_else(Reason::as_str, Meaning::as_str)
    }

    /// Whether the target refused the credentials of the upload: other credentials may help.
    pub(crate) fn refuses_credentials(&self) -> bool {
        let refusals = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        self.status.is_some_and(|status| refusals.contains(&status))
    }

    /// Whether connecting failed.
    pub(crate) fn is_connect(&self) -> bool {
        self.error.as_ref().is_some_and(ExchangeError::is_connect)
    }

    /// The status as the number that logs and status pages show.
    pub(crate) fn status_code(&self) -> Option<u16> {
        self.status.map(|status| status.as_u16())
    }

    /// What to do about the missing response; `None` if there was a response, or no request.
    pub(crate) fn error_remedy(&self) -> Option<&'static str> {
        self.error.as_ref().map(ExchangeError::remedy)
    }

    /// Why there was no response; `None` if there was a response, or no request.
    pub(crate) fn error_kind(&self) -> Option<ExchangeErrorKind> {
        self.error.as_ref().map(ExchangeError::kind)
    }
}

/// Why a retry may double samples. The values of the `cause` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoublingCause {
    /// The whole body was sent and no response came.
    Ambiguous,
    /// A gateway gave up waiting for the target, which may have the record.
    GatewayTimeout,
    /// A limit was reached within a Push: the target may have stored the series that came before the limit.
    PartialPush,
}

impl DoublingCause {
    /// Every cause.
    pub(crate) const ALL: [Self; 3] = [Self::Ambiguous, Self::GatewayTimeout, Self::PartialPush];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::GatewayTimeout => "gateway_timeout",
            Self::PartialPush => "partial_push",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, meaning: Meaning) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        Outcome::response(status, meaning, String::new(), None)
    }

    #[test]
    fn a_retry_may_double_what_a_gateway_passed_on_and_what_a_push_was_throttled_in() {
        use DoublingCause::*;
        let cause =
            |outcome: &Outcome, surface: Surface| outcome.doubling_cause(SurfaceId(surface.id()));
        for surface in [Surface::Ingest, Surface::Push, Surface::Otlp] {
            let part = (surface == Surface::Push).then_some(PartialPush);
            for (status, meaning, expected) in [
                (504, Meaning::Transient, Some(GatewayTimeout)),
                (504, Meaning::Throttled, Some(GatewayTimeout)),
                (504, Meaning::Ambiguous, Some(Ambiguous)),
                (502, Meaning::Transient, None),
                (503, Meaning::Transient, None),
                (429, Meaning::Throttled, part),
                (429, Meaning::RecordLimit, part),
                (422, Meaning::Unknown, None),
            ] {
                let outcome = response(status, meaning);
                assert_eq!(cause(&outcome, surface), expected, "{status} {meaning:?}");
            }
            let lost = Outcome::no_response(ExchangeError::reset("reset"), true);
            assert_eq!(cause(&lost, surface), Some(Ambiguous));
        }
    }

    #[test]
    fn a_quota_pauses_until_its_reset_for_an_hour_at_most() {
        let pause = |seconds: Option<u64>| {
            let asked = Outcome {
                retry_after: Some(Duration::from_secs(7)),
                ..response(429, Meaning::Throttled)
            };
            let reset = seconds.map(Duration::from_secs);
            asked.with_quota_reset(reset).pause().unwrap().as_secs()
        };
        assert_eq!(pause(None), 7);
        assert_eq!(pause(Some(600)), 600);
        assert_eq!(pause(Some(86_400)), 3_600);
    }

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
