//! Removes a target's secrets from its responses before they are shown: some gateways repeat the credentials
//! that they refuse.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::Settings;

/// Replacement for a secret.
const REDACTED: &str = "<redacted>";

/// Secrets of fewer bytes are not removed: they are likely to be ordinary words.
const SHORTEST: usize = 4;

/// Removes the secrets of one target from texts.
pub(crate) struct Redactor {
    /// The longest secret first, since a secret may be part of another one.
    secrets: Vec<SecretString>,
}

impl Redactor {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut secrets = settings.secrets();
        secrets.retain(|secret| secret.expose_secret().len() >= SHORTEST);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        Self { secrets }
    }

    /// `text` without secrets. If `text` was `truncated`, the start of a secret at its end is removed too.
    pub(crate) fn redact(&self, text: &str, truncated: bool) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose_secret(), REDACTED);
        }
        if truncated {
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
