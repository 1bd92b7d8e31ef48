//! The meaning of a response for the profile that was sent and for the target.
//!
//! The status is not enough: Grafana Pyroscope responds with 422 to a profile that it will never accept, to a
//! profile that it could not store at the moment and, before 2.2, to a profile beyond the rate limit. The text
//! of the response tells most of these cases apart. So the built-in rules read statuses and texts, and a user
//! can add rules that are tried first, because texts change and gateways write their own.
//!
//! The body of a success is read, too: it may be an HTML page ([`is_html_page`]), or say that only a part of an
//! OTLP export was accepted ([`PartialSuccess`]).
//!
//! This module does not decide how often a profile is retried or when it is dropped: the delivery
//! does.

mod built_in;
mod error_text;
mod html;
mod limits;
mod partial_success;
mod retry_after;
mod rule;
mod truncated;

pub use html::is_html_page;
pub use limits::quota_reset;
pub use partial_success::PartialSuccess;
pub use retry_after::retry_after;
pub use rule::{Rule, RuleFault};

/// What an error response means for the profile that was sent and for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The target has the profile. No built-in rule has this meaning.
    Taken,
    /// The target gets too many profiles: uploads to the target must pause.
    Throttled,
    /// This profile alone exceeds a limit of the target, by a new series or by the burst of a rate limit: the
    /// target accepts other profiles. No rule of a user has this meaning.
    RecordLimit,
    /// A temporary failure: the target may take the same profile later.
    Transient,
    /// It is unknown whether the target has the profile. No built-in rule has this meaning.
    Ambiguous,
    /// The target will never take this profile.
    Rejected,
    /// The target accepts no profile at all until its operator, or a change of its configuration in pyrotee,
    /// fixes the cause.
    Broken,
    /// No rule matches the response.
    Unknown,
}

impl Meaning {
    /// The meanings that a user's rule may have, in the order in which error messages list them.
    const OF_RULES: [Self; 6] = [
        Self::Taken,
        Self::Throttled,
        Self::Transient,
        Self::Ambiguous,
        Self::Rejected,
        Self::Broken,
    ];

    /// The word for the meaning in configurations, metric labels and logs. Both kinds of limits are
    /// `throttled`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "ok",
            Self::Throttled | Self::RecordLimit => "throttled",
            Self::Transient => "transient",
            Self::Ambiguous => "ambiguous",
            Self::Rejected => "rejected",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the meaning of a user's rule.
    ///
    /// # Errors
    /// [`RuleFault::Meaning`] for any other word, also for `unknown`, which is the meaning of a
    /// response that no rule matches.
    pub fn parse(word: &str) -> Result<Self, RuleFault> {
        Self::OF_RULES
            .into_iter()
            .find(|meaning| meaning.as_str() == word)
            .ok_or(RuleFault::Meaning)
    }
}

/// Classifies error responses: by the rules of a user, then by the built-in rules. The default has no
/// rules of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    own: Vec<Rule>,
}

impl Rules {
    /// Adds the rules of a user, which are tried before the built-in rules.
    ///
    /// Rules with a text are tried before rules without one, because a rule without a text hides all
    /// other rules of its status. Otherwise the rules keep their order.
    pub fn new(mut own: Vec<Rule>) -> Self {
        own.sort_by_key(|rule| !rule.has_text());
        Self { own }
    }

    /// The meaning of a response by its status and the start of its decompressed body.
    ///
    /// The first rule that matches decides; without one the meaning is [`Meaning::Unknown`]. No built-in rule
    /// matches a 2xx, so the caller must handle a success first.
    pub fn judge(&self, status: u16, text: &str) -> Meaning {
        self.own_meaning(status, text)
            .unwrap_or_else(|| built_in::meaning(status, text))
    }

    /// Whether a rule of the user says that a response with a 2xx status is an acknowledgement, also if
    /// it is an HTML page.
    pub fn acknowledges(&self, status: u16, text: &str) -> bool {
        self.own_meaning(status, text) == Some(Meaning::Taken)
    }

    fn own_meaning(&self, status: u16, text: &str) -> Option<Meaning> {
        if self.own.is_empty() {
            return None;
        }
        let text = text.to_ascii_lowercase();
        let mut own = self.own.iter();
        own.find(|rule| rule.fits(status, &text)).map(Rule::meaning)
    }

    /// The rules of the user, in the order in which they are tried.
    pub fn own(&self) -> &[Rule] {
        &self.own
    }
}

#[cfg(test)]
mod tests;
