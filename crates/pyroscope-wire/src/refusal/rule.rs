//! A rule of a user's own: a status, perhaps a text, and what they mean.

use thiserror::Error;

use super::Meaning;

/// What answers of one status mean, either all of them or those with a certain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    status: u16,
    /// As it was written.
    text: Option<String>,
    /// As it is looked for: lower case.
    needle: String,
    meaning: Meaning,
}

/// What is wrong with a rule; `Display` states the problem and then the remedy, and repeats neither
/// the pattern nor the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RuleFault {
    #[error(
        "does not begin with a status from 100 to 599; write it as in `503` or `422 out of order`"
    )]
    Status,
    #[error("is a success, which means that the profile was taken; remove it")]
    Success,
    #[error("is not known; write one of ok, throttled, transient, ambiguous, rejected, broken")]
    Meaning,
}

impl Rule {
    /// Reads a pair of a configuration.
    ///
    /// The pattern is a status of three digits, and behind it, after a space, any text that the
    /// answer has to contain. ASCII letters are the same in either case. The text is compared with
    /// the answer as it was sent: a quote inside JSON stands there as `\"`.
    ///
    /// # Errors
    /// What is wrong with the pattern, else what is wrong with the meaning.
    pub fn parse(pattern: &str, meaning: &str) -> Result<Self, RuleFault> {
        let pattern = pattern.trim();
        let (status, text) = match pattern.split_once(char::is_whitespace) {
            Some((status, text)) => (status, Some(text.trim_start())),
            None => (pattern, None),
        };
        let status = self::status(status)?;
        Ok(Self {
            status,
            needle: text.unwrap_or_default().to_ascii_lowercase(),
            text: text.map(str::to_owned),
            meaning: Meaning::parse(meaning)?,
        })
    }

    /// The pattern, so that [`Rule::parse`] reads the same.
    pub fn pattern(&self) -> String {
        match &self.text {
            Some(text) => format!("{} {text}", self.status),
            None => self.status.to_string(),
        }
    }

    /// What such an answer means; never [`Meaning::Unknown`].
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Whether both are for the same answers: the second of them would never be asked.
    pub fn is_same_pattern(&self, other: &Self) -> bool {
        self.status == other.status && self.needle == other.needle
    }

    pub(super) fn has_text(&self) -> bool {
        self.text.is_some()
    }

    /// Whether it is for an answer of this status and, in lower case, this text.
    pub(super) fn fits(&self, status: u16, text: &str) -> bool {
        self.status == status && text.contains(&self.needle)
    }
}

fn status(text: &str) -> Result<u16, RuleFault> {
    let three_digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(200..=299) if three_digits => Err(RuleFault::Success),
        Ok(status @ 100..=599) if three_digits => Ok(status),
        _ => Err(RuleFault::Status),
    }
}
