//! Logs failed uploads at a limited rate.

use std::time::Duration;

use pyrotee_net::status_label;
use pyrotee_queue::{LogLimiter, Reason};

use crate::outcome::Outcome;

/// Logs the failed uploads to one target at a limited rate.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    /// By status label, kind of error or reason. Labels are a closed set; a target chooses the code freely.
    limiter: LogLimiter,
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
        if let Some(left_out) = self.limiter.due("evicted") {
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
        if let Some(left_out) = self.limiter.due("panic") {
            let message = "the upload of a profile panicked, which is a bug";
            tracing::error!(target, panic, fate, left_out, "{message}");
        }
    }

    /// Logs that `target` refused the credentials, and that reading them again took longer than `limit`.
    pub(crate) fn refresh_timed_out(&self, target: &str, limit: Duration) {
        if let Some(left_out) = self.limiter.due("credential refresh") {
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

    /// Logs that the tags cannot be read of a profile for `target` that another relay captured.
    pub(crate) fn unreadable_tags(&self, target: &str) {
        if let Some(left_out) = self.limiter.due("captor's tags") {
            tracing::warn!(
                target,
                remedy = "run the same version of pyrotee in all relays that share a backlog",
                left_out,
                "the tags of a profile that another relay captured cannot be read: it is sent with this relay's tags"
            );
        }
    }

    /// Logs a partial success: `target` acknowledged an export with a warning, or rejected a part of it.
    pub(crate) fn partial_success(&self, target: &str, outcome: &Outcome) {
        let Some(left_out) = self.limiter.due("partial success") else {
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
            if let Some(left_out) = self.limiter.due(status_label(status)) {
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
            if let Some(left_out) = self.limiter.due(kind) {
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
        } else if let Some(left_out) = self.limiter.due(meaning) {
            let reason = meaning;
            tracing::warn!(target, reason, remedy, left_out, "a profile cannot be sent");
        }
    }
}
