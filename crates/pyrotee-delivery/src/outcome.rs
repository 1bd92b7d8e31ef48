//! What came of an upload.

use std::time::Duration;

use http::StatusCode;
use pyroscope_wire::refusal::Meaning;
use pyrotee_net::{ExchangeError, ExchangeErrorKind};
use pyrotee_queue::Reason;

/// What came of one try to upload a record.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    /// `None` if no answer came.
    pub(crate) status: Option<StatusCode>,
    /// What the target said, or what went wrong, in one line without secrets; empty for a success.
    pub(crate) text: String,
    /// The pause that the target asked for.
    pub(crate) retry_after: Option<Duration>,
    error: Option<ExchangeError>,
}

/// The kinds of outcomes that deliveries go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The target has the profile.
    Ok,
    /// The target wants a pause.
    Throttled,
    /// It may work later.
    Transient,
    /// It may have worked.
    Ambiguous,
    /// It will never work with this profile.
    Rejected,
    /// Refused in words that nobody knows.
    Unknown,
    /// It works with no profile of this surface, until somebody mends something.
    Broken,
    /// There was nothing to send.
    Unsendable(Reason),
}

impl Kind {
    /// Those that an upload can have.
    pub(crate) const SENT: [Self; 7] = [
        Self::Ok,
        Self::Throttled,
        Self::Transient,
        Self::Ambiguous,
        Self::Rejected,
        Self::Unknown,
        Self::Broken,
    ];

    /// The value of the `outcome` label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Ambiguous => "ambiguous",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Broken => "broken",
            Self::Unsendable(reason) => reason.as_str(),
        }
    }
}

impl From<Meaning> for Kind {
    fn from(meaning: Meaning) -> Self {
        match meaning {
            Meaning::Taken => Self::Ok,
            Meaning::Throttled => Self::Throttled,
            Meaning::Transient => Self::Transient,
            Meaning::Ambiguous => Self::Ambiguous,
            Meaning::Rejected => Self::Rejected,
            Meaning::Broken => Self::Broken,
            Meaning::Unknown => Self::Unknown,
        }
    }
}

impl Outcome {
    /// The target took the profile.
    pub(crate) fn taken(status: StatusCode) -> Self {
        Self::answered(status, Meaning::Taken, String::new(), None)
    }

    /// The target answered with something else than a success, which has `meaning`.
    pub(crate) fn answered(
        status: StatusCode,
        meaning: Meaning,
        text: String,
        retry_after: Option<Duration>,
    ) -> Self {
        let kind = match (Kind::from(meaning), retry_after) {
            // Whoever names a time wants to be left alone until then.
            (Kind::Transient, Some(_)) => Kind::Throttled,
            (kind, _) => kind,
        };
        Self {
            kind,
            status: Some(status),
            text,
            retry_after,
            error: None,
        }
    }

    /// No answer came. `whole`: everything had gone out, so that the target may have it.
    pub(crate) fn failed(error: ExchangeError, whole: bool) -> Self {
        let kind = match error.kind() {
            ExchangeErrorKind::Tls => Kind::Broken,
            _ if whole && !error.is_connect() => Kind::Ambiguous,
            _ => Kind::Transient,
        };
        Self {
            kind,
            status: None,
            text: error.to_string(),
            retry_after: None,
            error: Some(error),
        }
    }

    /// There was nothing to send.
    pub(crate) fn unsendable(reason: Reason) -> Self {
        Self {
            kind: Kind::Unsendable(reason),
            status: None,
            text: reason.as_str().to_owned(),
            retry_after: None,
            error: None,
        }
    }

    /// Whether it was no connection at all.
    pub(crate) fn is_connect(&self) -> bool {
        self.error.as_ref().is_some_and(ExchangeError::is_connect)
    }

    /// What kind of failure kept the answer away.
    pub(crate) fn error_kind(&self) -> Option<ExchangeErrorKind> {
        self.error.as_ref().map(ExchangeError::kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_ambiguous_only_if_the_whole_body_had_gone_out() {
        let kind = |error, whole| Outcome::failed(error, whole).kind;
        assert_eq!(kind(ExchangeError::reset("reset"), true), Kind::Ambiguous);
        assert_eq!(kind(ExchangeError::reset("reset"), false), Kind::Transient);
        assert_eq!(
            kind(ExchangeError::timeout("late", false), true),
            Kind::Ambiguous
        );
        assert_eq!(
            kind(ExchangeError::timeout("late", true), true),
            Kind::Transient
        );
    }

    #[test]
    fn who_names_a_time_is_left_alone_until_then() {
        let after = Some(Duration::from_secs(5));
        let kind = |meaning, after| {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Outcome::answered(status, meaning, String::new(), after).kind
        };
        assert_eq!(kind(Meaning::Transient, after), Kind::Throttled);
        assert_eq!(kind(Meaning::Transient, None), Kind::Transient);
        assert_eq!(kind(Meaning::Rejected, after), Kind::Rejected);
    }
}
