//! What an answer that is no success means for the profile that was sent and for the target.
//!
//! The status alone does not tell: Grafana Pyroscope answers 422 to a profile that it will never
//! take, to one that it could not store just now and, before 2.2, to one that came too fast. Its
//! texts tell them apart, mostly. So the built-in table has rows of statuses and texts, and a user
//! can put rows of their own in front of it, because texts change and gateways have their own.
//!
//! Nothing here decides what happens next: how often a profile is tried again, and when it is given
//! up, is the business of the delivery.

mod retry_after;
mod rule;
mod table;

pub use retry_after::retry_after;
pub use rule::{Rule, RuleFault};

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The target has the profile. Only a user's own rule says so.
    Taken,
    /// The target could take the profile, but it gets too many: all of it needs a pause.
    Throttled,
    /// Something is out of order that will pass: the same profile may be taken later.
    Transient,
    /// The target may have the profile or not, as after a timeout. Only a user's own rule says so.
    Ambiguous,
    /// The target will never take this profile.
    Rejected,
    /// The target takes no profile at all until somebody repairs it, or what we know of it.
    Broken,
    /// No rule and no row explains it.
    Unknown,
}

impl Meaning {
    /// The meanings that a rule may have, in the order in which texts name them.
    const OF_RULES: [Self; 6] = [
        Self::Taken,
        Self::Throttled,
        Self::Transient,
        Self::Ambiguous,
        Self::Rejected,
        Self::Broken,
    ];

    /// Its word, for configurations, metric labels and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "ok",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Ambiguous => "ambiguous",
            Self::Rejected => "rejected",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the meaning of a rule.
    ///
    /// # Errors
    /// [`RuleFault::Meaning`] for any other word, `unknown` included: that is what there is without
    /// a rule.
    pub fn parse(word: &str) -> Result<Self, RuleFault> {
        Self::OF_RULES
            .into_iter()
            .find(|meaning| meaning.as_str() == word)
            .ok_or(RuleFault::Meaning)
    }
}

/// The built-in table, and the rules of a user in front of it.
///
/// The default has no rules of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    own: Vec<Rule>,
}

impl Rules {
    /// Puts rules in front of the built-in table.
    ///
    /// Those with a text are asked before those without, whatever their order: a rule for a status
    /// as a whole would hide all others of that status. Otherwise the order given is kept.
    pub fn new(mut own: Vec<Rule>) -> Self {
        own.sort_by_key(|rule| !rule.has_text());
        Self { own }
    }

    /// What an answer means, from its status and the start of its body, unpacked.
    ///
    /// The first rule that fits decides, else the first row of the table, else it is
    /// [`Meaning::Unknown`]. So is a 2xx, which neither rules nor rows are for: a success is the
    /// caller's to see.
    pub fn judge(&self, status: u16, text: &str) -> Meaning {
        let text = text.to_ascii_lowercase();
        self.own
            .iter()
            .find(|rule| rule.fits(status, &text))
            .map(Rule::meaning)
            .or_else(|| table::meaning(status, &text))
            .unwrap_or(Meaning::Unknown)
    }

    /// The rules of the user, in the order in which they are asked.
    pub fn own(&self) -> &[Rule] {
        &self.own
    }
}

#[cfg(test)]
mod tests;
