//! What is known of each scrape target, for the admin listener.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// A scrape target and a profile, as `GET /targets` shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// `job-name`.
    pub job: String,
    /// Name of the profile in the job, such as `mem`. Empty if the scrape target was dropped before it had profiles.
    pub profile: String,
    /// The URL that is scraped, without user and password. For a dropped scrape target: its address.
    pub url: String,
    /// Labels before any was set or removed.
    pub discovered_labels: BTreeMap<String, String>,
    /// Labels of the profiles, without those that begin with `__`.
    pub labels: BTreeMap<String, String>,
    pub health: Health,
    /// When the last scrape began; `None` before the first.
    pub last_scrape: Option<SystemTime>,
    /// How long the last scrape took, sending included.
    pub last_duration: Option<Duration>,
    /// Why the last scrape failed or sent nothing, or why the scrape target was dropped.
    pub last_error: Option<String>,
}

/// State of a scrape target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// It was not scraped yet.
    #[default]
    Unknown,
    /// The last scrape got a profile.
    Up,
    /// The last scrape failed.
    Down,
    /// It is not scraped: its address or labels cannot be used, or `max-targets` is reached.
    Dropped,
}

impl Health {
    /// The word that is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Dropped => "dropped",
        }
    }
}
