//! Ages of the times in a status, by the clock of the relay: the clock of the reader may differ.

use std::time::{Duration, SystemTime};

use pyrotee_admin::json::status::StatusPage;

use pyrotee_terminal::age;

/// The time of a status by the relay's clock; `None` if the relay's text is no time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now(Option<SystemTime>);

impl Now {
    pub(super) fn of(page: &StatusPage) -> Self {
        Self(time(&page.time))
    }

    /// The age of a time; `None` if one of the texts is no time.
    pub(super) fn since(self, at: &str) -> Option<String> {
        let age_of = self.0?.duration_since(time(at)?).unwrap_or_default();
        Some(age(age_of))
    }

    /// The age of a time, such as `2s ago`.
    pub(super) fn ago(self, at: &str) -> String {
        let since = self.since(at);
        since.map_or_else(|| at.to_owned(), |age| format!("{age} ago"))
    }

    /// The time left until `at`.
    pub(super) fn left(self, at: &str) -> String {
        let left = self
            .0
            .and_then(|now| Some(time(at)?.duration_since(now).unwrap_or_default()));
        left.map_or_else(|| at.to_owned(), age)
    }
}

/// A duration in a status; `None` if it is no duration.
pub(super) fn age_of(seconds: f64) -> Option<String> {
    Duration::try_from_secs_f64(seconds).ok().map(age)
}

fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}
