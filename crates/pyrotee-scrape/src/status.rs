//! What is known of each scrape target, for the admin listener.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::target::{DroppedTarget, ScrapeTarget};

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

/// Labels without those that begin with `__`.
fn public_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let labels = labels.iter().filter(|(name, _)| !name.starts_with("__"));
    labels
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl ScrapeTarget {
    /// The status before the first scrape.
    pub(crate) fn shown(&self, job: &str) -> TargetStatus {
        TargetStatus {
            job: job.to_owned(),
            profile: self.profile.clone(),
            url: self.url.to_string(),
            discovered_labels: self.discovered.clone(),
            labels: public_labels(&self.labels),
            health: Health::Unknown,
            last_scrape: None,
            last_duration: None,
            last_error: None,
        }
    }
}

impl DroppedTarget {
    /// The status of a scrape target that is not scraped.
    pub(crate) fn shown(&self, job: &str) -> TargetStatus {
        TargetStatus {
            job: job.to_owned(),
            profile: String::new(),
            url: self.address.clone(),
            discovered_labels: self.discovered.clone(),
            labels: BTreeMap::new(),
            health: Health::Dropped,
            last_scrape: None,
            last_duration: None,
            last_error: Some(self.reason.clone()),
        }
    }
}
