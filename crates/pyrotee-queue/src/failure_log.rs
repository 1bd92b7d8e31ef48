//! Decides which failures of a repeated attempt are logged.

use std::time::Duration;

/// Time from the first attempt to the first error. A hand-over between two relays takes less. After this time, two
/// relays may be using one directory, which an operator must know.
const PATIENCE: Duration = Duration::from_secs(120);

/// Shortest time between two errors.
const BETWEEN_ERRORS: Duration = Duration::from_secs(60);

/// Chooses the log level of each failure of an operation that is attempted until it succeeds.
#[derive(Debug, Default)]
pub struct FailureLog {
    last_reason: Option<String>,
    /// Time from the first attempt to the last logged error.
    last_error: Option<Duration>,
}

/// How a failure is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureLevel {
    /// The reason differs from that of the failure before.
    Warning,
    /// Attempts have failed for two minutes, and no error was logged in the last minute.
    Error,
}

impl FailureLog {
    /// The level for an attempt that failed for `reason`, `waited` after the first attempt. `None`: it is not logged.
    pub fn level(&mut self, reason: &str, waited: Duration) -> Option<FailureLevel> {
        let is_new = self.last_reason.as_deref() != Some(reason);
        if is_new {
            self.last_reason = Some(reason.to_owned());
        }
        let is_recent = |last: Duration| waited.saturating_sub(last) < BETWEEN_ERRORS;
        if waited >= PATIENCE && !self.last_error.is_some_and(is_recent) {
            self.last_error = Some(waited);
            return Some(FailureLevel::Error);
        }
        is_new.then_some(FailureLevel::Warning)
    }
}

#[cfg(test)]
mod tests {
    use super::FailureLevel::{Error, Warning};
    use super::*;

    #[test]
    fn a_new_reason_is_a_warning_and_two_minutes_are_an_error_once_a_minute() {
        let mut log = FailureLog::default();
        let mut lines = Vec::new();
        for second in (0..305).step_by(5) {
            let reason = match second {
                0..20 => "the lock",
                20..200 => "the disk",
                _ => "another disk",
            };
            let level = log.level(reason, Duration::from_secs(second));
            lines.extend(level.map(|level| (second, level)));
        }
        let expected = [
            (0, Warning),
            (20, Warning),
            (120, Error),
            (180, Error),
            (200, Warning),
            (240, Error),
            (300, Error),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn each_new_reason_is_a_warning_and_a_long_wait_an_error_each_minute() {
        let mut log = FailureLog::default();
        let seconds = Duration::from_secs;
        for (reason, waited, level) in [
            ("locked", 0, Some(Warning)),
            ("locked", 5, None),
            ("read-only", 10, Some(Warning)),
            ("read-only", 119, None),
            ("read-only", 120, Some(Error)),
            ("locked", 130, Some(Warning)),
            ("locked", 179, None),
            ("locked", 180, Some(Error)),
        ] {
            assert_eq!(log.level(reason, seconds(waited)), level, "{waited}");
        }
    }
}
