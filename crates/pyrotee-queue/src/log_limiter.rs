//! Limits how often events of one kind are logged.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock;

/// Time between two lines about events of one kind.
pub const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Chooses which events are logged: the first of each kind at once, then one per interval with the number of events that
/// were left out. The default interval is [`LOG_INTERVAL`].
#[derive(Debug)]
pub struct LogLimiter {
    interval: Duration,
    /// Keyed by the kind of event, of which there are few.
    kinds: Mutex<HashMap<&'static str, Suppression>>,
}

/// Events of one kind that are not logged.
#[derive(Debug)]
struct Suppression {
    until: Instant,
    left_out: u64,
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self::new(LOG_INTERVAL)
    }
}

impl LogLimiter {
    /// Logs one event of each kind per `interval`.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            kinds: Mutex::default(),
        }
    }

    /// The number of events of `kind` that were left out since the last line, if this event is to be logged; `None` if it
    /// is left out.
    pub fn due(&self, kind: &'static str) -> Option<u64> {
        let mut kinds = lock(&self.kinds);
        let now = Instant::now();
        match kinds.get_mut(kind) {
            Some(suppression) if now < suppression.until => {
                suppression.left_out += 1;
                None
            }
            Some(suppression) => {
                suppression.until = now + self.interval;
                Some(std::mem::take(&mut suppression.left_out))
            }
            None => {
                let suppression = Suppression {
                    until: now + self.interval,
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
        let log = LogLimiter::default();
        assert_eq!(log.due("503"), Some(0));
        assert_eq!(log.due("503"), None);
        assert_eq!(log.due("503"), None);
        assert_eq!(log.due("connect"), Some(0), "another kind has its own line");
        tokio::time::advance(LOG_INTERVAL).await;
        assert_eq!(log.due("503"), Some(2));
        assert_eq!(log.due("503"), None);
    }
}
