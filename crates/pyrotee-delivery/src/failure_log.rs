//! Logs failed uploads at a limited rate: the first of each kind at once, then one line per [`INTERVAL`] with the
//! number of failures that were left out.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use pyrotee_net::status_label;
use pyrotee_queue::{Reason, lock};
use tokio::time::Instant;

use crate::outcome::Outcome;

/// Time between two lines about the same kind of failure.
const INTERVAL: Duration = Duration::from_secs(10);

/// Logs the failed uploads to one target at a limited rate.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    /// Keyed by status label, kind of error or reason. Labels are a closed set; a target chooses the code freely.
    kinds: Mutex<HashMap<&'static str, Suppression>>,
}

/// Failures of one kind that are not logged.
#[derive(Debug)]
struct Suppression {
    until: Instant,
    left_out: u64,
}

impl FailureLog {
    /// Logs an upload to `target` that failed and is retried.
    pub(crate) fn retried(&self, target: &str, outcome: &Outcome) {
        self.log(target, outcome, "kept");
    }

    /// Logs an upload to `target` that failed, whose record is dropped.
    pub(crate) fn dropped(&self, target: &str, outcome: &Outcome, reason: Reason) {
        self.log(target, outcome, reason.as_str());
    }

    /// Logs a record that was evicted from a full queue.
    pub(crate) fn evicted(&self, target: &str, status: Option<u16>, why: &str) {
        if let Some(left_out) = self.should_log("evicted") {
            let (fate, remedy) = (Reason::Rejected.as_str(), Reason::Rejected.remedy());
            tracing::warn!(
                target,
                status,
                why,
                fate,
                remedy,
                left_out,
                "dropped a profile"
            );
        }
    }

    /// Logs an upload that panicked.
    pub(crate) fn panicked(&self, target: &str, panic: &str, fate: &str) {
        if let Some(left_out) = self.should_log("panic") {
            let message = "the upload of a profile panicked, which is a bug";
            tracing::error!(target, panic, fate, left_out, "{message}");
        }
    }

    /// Logs that `target` refused the credentials, and that reading them again took longer than `limit`.
    pub(crate) fn refresh_timed_out(&self, target: &str, limit: Duration) {
        if let Some(left_out) = self.should_log("credential refresh") {
            let limit_seconds = limit.as_secs();
            tracing::warn!(
                target,
                limit_seconds,
                remedy = "check the file system that holds the file of the credentials",
                left_out,
                "reading the credentials again took too long"
            );
        }
    }

    /// Logs a partial success: `target` acknowledged an export with a warning, or rejected a part of it.
    pub(crate) fn partial_success(&self, target: &str, outcome: &Outcome) {
        let Some(left_out) = self.should_log("partial success") else {
            return;
        };
        let (rejected, answer) = (outcome.rejected_part, outcome.text.as_str());
        let remedy = outcome.remedy();
        if rejected > 0 {
            tracing::warn!(
                target,
                rejected,
                answer,
                remedy,
                left_out,
                "target rejected a part of an export"
            );
        } else {
            tracing::warn!(
                target,
                answer,
                remedy,
                left_out,
                "target took an export with a warning"
            );
        }
    }

    fn log(&self, target: &str, outcome: &Outcome, fate: &str) {
        let (meaning, remedy) = (outcome.as_str(), outcome.remedy());
        if let Some(status) = outcome.status {
            if let Some(left_out) = self.should_log(status_label(status)) {
                let (status, answer) = (status.as_u16(), outcome.text.as_str());
                tracing::warn!(
                    target,
                    status,
                    answer,
                    outcome = meaning,
                    fate,
                    remedy,
                    left_out,
                    "target did not take a profile"
                );
            }
        } else if let Some(kind) = outcome.error_kind() {
            let kind = kind.as_str();
            if let Some(left_out) = self.should_log(kind) {
                let error = outcome.text.as_str();
                tracing::warn!(
                    target,
                    kind,
                    error,
                    outcome = meaning,
                    fate,
                    remedy,
                    left_out,
                    "failed to upload a profile"
                );
            }
        } else if let Some(left_out) = self.should_log(meaning) {
            let reason = meaning;
            tracing::warn!(target, reason, remedy, left_out, "a profile cannot be sent");
        }
    }

    /// The number of failures of `kind` left out since the last line, if a line is due; `None` if none is due yet.
    fn should_log(&self, kind: &'static str) -> Option<u64> {
        let mut kinds = lock(&self.kinds);
        let now = Instant::now();
        match kinds.get_mut(kind) {
            Some(suppression) if now < suppression.until => {
                suppression.left_out += 1;
                None
            }
            Some(suppression) => {
                suppression.until = now + INTERVAL;
                Some(std::mem::take(&mut suppression.left_out))
            }
            None => {
                let suppression = Suppression {
                    until: now + INTERVAL,
                    left_out: 0,
                };
                kinds.insert(kind, suppression);
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
        assert_eq!(log.should_log("503"), Some(0));
        assert_eq!(log.should_log("503"), None);
        assert_eq!(log.should_log("503"), None);
        assert_eq!(
            log.should_log("connect"),
            Some(0),
            "another kind speaks for itself"
        );
        tokio::time::advance(INTERVAL).await;
        assert_eq!(log.should_log("503"), Some(2));
        assert_eq!(log.should_log("503"), None);
    }
}
