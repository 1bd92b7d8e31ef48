//! Tells of failures without flooding the log: the first at once, then one line for each kind in a
//! while, with the number of those that were left out.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use pyrotee_queue::{Reason, lock};
use tokio::time::Instant;

use crate::outcome::Outcome;

/// Time between two lines about the same kind of failure.
const INTERVAL: Duration = Duration::from_secs(10);

/// What becomes of a record whose upload failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is tried again.
    Kept,
    Lost(Reason),
}

impl Fate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Lost(reason) => reason.as_str(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    kinds: Mutex<HashMap<String, Quiet>>,
}

#[derive(Debug)]
struct Quiet {
    until: Instant,
    left_out: u64,
}

impl FailureLog {
    /// Logs an upload to `target` that failed, and what becomes of the record.
    pub(crate) fn note(&self, target: &str, outcome: &Outcome, fate: Fate) {
        let outcome_kind = outcome.as_str();
        let fate = fate.as_str();
        if let Some(status) = outcome.status {
            if let Some(left_out) = self.speak(status.as_str()) {
                let (status, answer) = (status.as_u16(), outcome.text.as_str());
                tracing::warn!(
                    target,
                    status,
                    answer,
                    outcome = outcome_kind,
                    fate,
                    left_out,
                    "target did not take a profile"
                );
            }
        } else if let Some(kind) = outcome.error_kind() {
            let kind = kind.as_str();
            if let Some(left_out) = self.speak(kind) {
                let error = outcome.text.as_str();
                tracing::warn!(
                    target,
                    kind,
                    error,
                    outcome = outcome_kind,
                    fate,
                    left_out,
                    "failed to upload a profile"
                );
            }
        } else if let Some(left_out) = self.speak(outcome_kind) {
            let reason = outcome_kind;
            tracing::warn!(target, reason, left_out, "a profile cannot be sent");
        }
    }

    /// Whether to speak of a failure of `kind` now: how many were left out since the last line.
    fn speak(&self, kind: &str) -> Option<u64> {
        let mut kinds = lock(&self.kinds);
        let now = Instant::now();
        match kinds.get_mut(kind) {
            Some(quiet) if now < quiet.until => {
                quiet.left_out += 1;
                None
            }
            Some(quiet) => {
                quiet.until = now + INTERVAL;
                Some(std::mem::take(&mut quiet.left_out))
            }
            None => {
                kinds.insert(
                    kind.to_owned(),
                    Quiet {
                        until: now + INTERVAL,
                        left_out: 0,
                    },
                );
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_told_and_the_rest_is_counted() {
        let log = FailureLog::default();
        assert_eq!(log.speak("503"), Some(0));
        assert_eq!(log.speak("503"), None);
        assert_eq!(log.speak("503"), None);
        assert_eq!(
            log.speak("connect"),
            Some(0),
            "another kind speaks for itself"
        );
        tokio::time::advance(INTERVAL).await;
        assert_eq!(log.speak("503"), Some(2));
        assert_eq!(log.speak("503"), None);
    }
}
