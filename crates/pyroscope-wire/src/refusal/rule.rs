//! A user's rule for error responses: a status, an optional text, and a meaning.

use thiserror::Error;

use super::Meaning;

/// A user's rule: gives a meaning to the responses with one status, or only to responses that also contain a
/// text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    status: u16,
    /// The text as the user wrote it.
    text: Option<String>,
    /// The text in lower case, for comparison.
    needle: String,
    meaning: Meaning,
}

/// Why a rule is refused. `Display` states the problem and then the remedy, and repeats neither the
/// pattern nor the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RuleFault {
    #[error(
        "does not begin with a status from 100 to 599; write it as in `503` or `422 out of order`"
    )]
    Status,
    #[error(
        "is a success; write `ok`, so that an HTML page counts as a success as well, or remove the rule"
    )]
    Success,
    #[error("is not known; write one of ok, throttled, transient, ambiguous, rejected, broken")]
    Meaning,
}

impl Rule {
    /// Reads a rule from a configuration: a pattern and its meaning.
    ///
    /// The pattern is a status of three digits and, after a space, an optional text that the response
    /// must contain. The case of ASCII letters does not matter. The text is compared with the body as
    /// the target sent it, so a quote inside JSON must be written as `\"`.
    ///
    /// # Errors
    /// The fault of the pattern, or else the fault of the meaning: a 2xx can only be `ok`.
    pub fn parse(pattern: &str, meaning: &str) -> Result<Self, RuleFault> {
        let pattern = pattern.trim();
        let (status, text) = match pattern.split_once(char::is_whitespace) {
            Some((status, text)) => (status, Some(text.trim_start())),
            None => (pattern, None),
        };
        let status = self::status(status)?;
        let meaning = Meaning::parse(meaning)?;
        if (200..=299).contains(&status) && meaning != Meaning::Taken {
            return Err(RuleFault::Success);
        }
        Ok(Self {
            status,
            needle: text.unwrap_or_default().to_ascii_lowercase(),
            text: text.map(str::to_owned),
            meaning,
        })
    }

    /// The pattern in the form that [`Rule::parse`] reads.
    pub fn pattern(&self) -> String {
        match &self.text {
            Some(text) => format!("{} {text}", self.status),
            None => self.status.to_string(),
        }
    }

    /// The meaning of a response that the rule matches; never [`Meaning::Unknown`].
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Whether both rules match the same responses, so that the second one has no effect.
    pub fn is_same_pattern(&self, other: &Self) -> bool {
        self.status == other.status && self.needle == other.needle
    }

    pub(super) fn has_text(&self) -> bool {
        self.text.is_some()
    }

    /// Whether the rule matches a response with this status and this text, which is in lower case.
    pub(super) fn fits(&self, status: u16, text: &str) -> bool {
        self.status == status && text.contains(&self.needle)
    }
}

fn status(text: &str) -> Result<u16, RuleFault> {
    let three_digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(status @ 100..=599) if three_digits => Ok(status),
        _ => Err(RuleFault::Status),
    }
}
