//! Keeps a target's own secrets out of what is told of its answers: there are gateways that repeat
//! the credentials which they refuse.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::Settings;

/// What stands where a secret was.
const REDACTED: &str = "<redacted>";

/// Shorter ones are words of the language more often than secrets.
const SHORTEST: usize = 4;

/// Finds the secrets of one target.
pub(crate) struct Redactor {
    /// The longest first: one may be a part of another.
    secrets: Vec<SecretString>,
}

impl Redactor {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut secrets = settings.secrets();
        secrets.retain(|secret| secret.expose_secret().len() >= SHORTEST);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        Self { secrets }
    }

    /// `text` without secrets. If it is only the `start` of what was said, a secret that may have
    /// been cut in two at its end goes too.
    pub(crate) fn redact(&self, text: &str, start: bool) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose_secret(), REDACTED);
        }
        if start {
            let cut = self
                .secrets
                .iter()
                .map(|secret| tail(&text, secret.expose_secret()))
                .max();
            text.truncate(text.len() - cut.unwrap_or(0));
        }
        text
    }
}

/// Length of the longest end of `text` that is a beginning of `secret`.
fn tail(text: &str, secret: &str) -> usize {
    let beginnings = secret
        .char_indices()
        .map(|(place, _)| secret.split_at(place).0);
    beginnings
        .filter(|beginning| text.ends_with(beginning))
        .map(str::len)
        .max()
        .unwrap_or(0)
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor {
            secrets: secrets.iter().map(|secret| (*secret).into()).collect(),
        }
    }

    #[test]
    fn secrets_are_replaced_wherever_they_stand() {
        let redactor = redactor(&["hunter2hunter2", "hunter2"]);
        let told = redactor.redact("bad hunter2hunter2, or hunter2?", false);
        assert_eq!(told, "bad <redacted>, or <redacted>?");
    }

    #[test]
    fn a_secret_that_was_cut_in_two_is_not_told_either() {
        let redactor = redactor(&["geheim-größer", "other"]);
        assert_eq!(
            redactor.redact("bad token: geheim-grö", true),
            "bad token: "
        );
        assert_eq!(
            redactor.redact("bad token: geheim-grö", false),
            "bad token: geheim-grö"
        );
        assert_eq!(redactor.redact("what an o", true), "what an ");
    }
}
