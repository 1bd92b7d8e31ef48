//! What the log says of a spool that cannot be opened.

use std::path::Path;
use std::time::{Duration, Instant};

use tracing::{error, warn};

/// A hand-over between two relays is over by then. Afterwards an operator must know: two relays may use one directory.
const PATIENCE: Duration = Duration::from_secs(120);

/// Time between two errors.
const BETWEEN_ERRORS: Duration = Duration::from_secs(60);

/// What was logged of the attempts to open a spool.
#[derive(Debug, Default)]
pub(crate) struct WaitLog {
    /// The reason of the last failure.
    reason: String,
    last_error: Option<Instant>,
}

/// How a failure is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogLevel {
    Warn,
    Error,
}

impl WaitLog {
    /// Logs a failure now, if its reason is new or if attempts fail for long, since `since`.
    pub(crate) fn note(&mut self, dir: &Path, reason: &str, since: Instant, now: Instant) {
        let (dir, waited) = (dir.display(), now.saturating_duration_since(since));
        match self.level(reason, waited, now) {
            Some(LogLevel::Warn) => {
                warn!(%dir, reason, "spool cannot be opened yet, records stay in memory");
            }
            Some(LogLevel::Error) => {
                let waited = Duration::from_secs(waited.as_secs());
                error!(%dir, ?waited, reason, "spool is not open, records stay in memory");
            }
            None => {}
        }
    }

    fn level(&mut self, reason: &str, waited: Duration, now: Instant) -> Option<LogLevel> {
        let is_new = self.reason != reason;
        if is_new {
            reason.clone_into(&mut self.reason);
        }
        let mut earlier = self.last_error.into_iter();
        if waited >= PATIENCE && earlier.all(|at| at + BETWEEN_ERRORS <= now) {
            self.last_error = Some(now);
            return Some(LogLevel::Error);
        }
        is_new.then_some(LogLevel::Warn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_reason_is_a_warning_and_two_minutes_are_an_error_once_a_minute() {
        let mut log = WaitLog::default();
        let since = tokio::time::Instant::now().into_std();
        let mut lines = Vec::new();
        for second in (0..305).step_by(5) {
            let reason = match second {
                0..20 => "the lock",
                20..200 => "the disk",
                _ => "another disk",
            };
            let waited = Duration::from_secs(second);
            let level = log.level(reason, waited, since + waited);
            lines.extend(level.map(|level| (second, level)));
        }
        let expected = [
            (0, LogLevel::Warn),
            (20, LogLevel::Warn),
            (120, LogLevel::Error),
            (180, LogLevel::Error),
            (200, LogLevel::Warn),
            (240, LogLevel::Error),
            (300, LogLevel::Error),
        ];
        assert_eq!(lines, expected);
    }
}
