//! Tells of failures without flooding the log: the first at once, then one line for each kind in a
//! while, with the number of those that were left out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::Outcome;

/// Time between two lines about the same kind of failure.
const INTERVAL: Duration = Duration::from_secs(10);

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
    /// Logs an outcome that lost a record of `target`.
    pub(crate) fn note(&self, target: &str, outcome: &Outcome) {
        match outcome {
            Outcome::Sent => {}
            Outcome::Answered(status, answer) => {
                if let Some(left_out) = self.speak(status.as_str()) {
                    let status = status.as_u16();
                    tracing::warn!(target, status, answer, left_out, "target refused a profile");
                }
            }
            Outcome::Failed(fault) => {
                if let Some(left_out) = self.speak(fault.kind().as_str()) {
                    let kind = fault.kind().as_str();
                    tracing::warn!(target, kind, error = %fault, left_out, "failed to upload a profile");
                }
            }
            Outcome::Unsendable(reason) => {
                if let Some(left_out) = self.speak(reason.as_str()) {
                    let reason = reason.as_str();
                    tracing::warn!(target, reason, left_out, "a profile cannot be sent");
                }
            }
        }
    }

    /// Whether to speak of a failure of `kind` now: how many were left out since the last line.
    fn speak(&self, kind: &str) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
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
