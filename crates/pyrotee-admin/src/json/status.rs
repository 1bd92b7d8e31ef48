//! The JSON of `/api/v1/status`: one type for the relay that writes it and the command that reads it.
//!
//! `docs/status.md` describes every field; a test checks this. A reader must accept unknown fields and unknown values
//! of texts, because the reader may be older than the relay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Amount;
use super::shared::SharedJson;

/// Path of the [`StatusPage`].
pub const PATH: &str = "/api/v1/status";

/// A relay and its targets at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusPage {
    pub version: String,
    pub started: String,
    pub time: String,
    /// Empty if all parts work, and from an older relay without this field.
    #[serde(default)]
    pub degraded: Vec<DegradationJson>,
    /// `None` from an older relay without this field.
    #[serde(default)]
    pub config: Option<ConfigJson>,
    /// `None` without an upstream, and from an older relay without this field.
    #[serde(default)]
    pub upstream: Option<UpstreamJson>,
    /// `None` without a spool, and from an older relay without this field.
    #[serde(default)]
    pub spool: Option<SpoolJson>,
    /// `None` if the relay shares no backlog, and from an older relay without this field.
    #[serde(default)]
    pub shared: Option<SharedJson>,
    /// `None` if rejected profiles are not kept, and from an older relay without this field.
    #[serde(default)]
    pub dead_letters: Option<DeadLettersJson>,
    /// `None` without jobs of pull mode, and from an older relay without this field.
    #[serde(default)]
    pub scrape: Option<ScrapeJson>,
    pub targets: Vec<TargetJson>,
    /// Empty without removed targets, and from an older relay without this field.
    #[serde(default)]
    pub removed: Vec<RemovedJson>,
}

/// The configuration in force, and the result of the last attempt to reload it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigJson {
    /// Hash of the configuration in force, without secrets.
    pub hash: String,
    pub loaded_at: String,
    pub last_attempt_at: Option<String>,
    pub last_reload_successful: bool,
    /// The faults of the configuration file as it is now; empty if it has none.
    pub faults: Vec<String>,
    pub restart_required: Vec<String>,
    pub stale_files: Vec<StaleFileJson>,
    /// Sections of TLS whose servers are not verified; empty from an older relay without this field.
    #[serde(default)]
    pub unverified_servers: Vec<String>,
    /// Certificates that have expired, expire soon or are not valid yet; empty from an older relay without this field.
    #[serde(default)]
    pub certificate_warnings: Vec<String>,
}

/// A file that the configuration names and that keeps its last good content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleFileJson {
    pub path: String,
    /// Why the content of now cannot be used.
    pub text: String,
}

/// The local Pyroscope, as the last exchanges with it show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamJson {
    /// Without user and password.
    pub address: String,
    /// One of [`UPSTREAM_STATES`].
    pub state: String,
    pub last_success: Option<String>,
    pub last_error: Option<UpstreamErrorJson>,
}

/// All values of [`UpstreamJson::state`].
pub const UPSTREAM_STATES: [&str; 3] = [HEALTHY, FAILING, UNUSED];

/// The newest exchange succeeded, or failed by the client's fault. The state of a healthy target, too.
pub const HEALTHY: &str = "healthy";

/// The newest exchange failed by the upstream's fault.
pub const FAILING: &str = "failing";

/// There was no exchange since the start.
pub const UNUSED: &str = "unused";

/// The last exchange that failed by the upstream's fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamErrorJson {
    pub at: String,
    /// Such as `dns`, `connect` or `timeout`.
    pub kind: String,
    pub status: Option<u16>,
    pub text: String,
    /// What to do, as one sentence in the imperative.
    pub remedy: Option<String>,
}

/// The spool in short; `/api/v1/spool` has the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpoolJson {
    pub dir: String,
    /// A [state of the spool](super::spool::STATES) that a relay uses.
    pub state: String,
    /// The pending profiles of all targets, the removed ones included.
    pub pending: Amount,
    /// Bytes of all segments.
    pub bytes: u64,
    pub max_bytes: u64,
    /// Age of the oldest of these profiles.
    pub oldest_pending_age_seconds: Option<f64>,
}

/// The state of dead letters whose directory is in use.
pub const OPEN: &str = "open";

/// The dead letters in short; `/api/v1/dead-letters` lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersJson {
    pub dir: String,
    /// [`OPEN`] or `waiting`.
    pub state: String,
    pub letters: u64,
    /// Bytes that the letters take on disk.
    pub bytes: u64,
    pub max_bytes: u64,
}

/// Pull mode in short; `/targets` lists the scrape targets. Each profile of an application counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeJson {
    pub jobs: u64,
    pub up: u64,
    pub down: u64,
    /// Not scraped yet.
    pub unknown: u64,
    pub dropped: u64,
}

/// A target that was removed from the configuration and has records in the spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemovedJson {
    pub name: String,
    pub since: String,
    pub oldest_pending_age_seconds: Option<f64>,
    pub unread: u64,
    pub accepted: Amount,
    pub sent: Amount,
    pub pending: Amount,
    pub dropped: BTreeMap<String, Amount>,
}

/// A part of the relay that does not work as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DegradationJson {
    /// `spool`, `dead_letters` or `shared`.
    pub part: String,
    pub state: String,
    pub text: String,
}

impl DegradationJson {
    /// One line for people, with its line feed.
    pub fn line(&self) -> String {
        format!("{} ({}): {}\n", self.part, self.state, self.text)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetJson {
    pub name: String,
    pub address: String,
    pub state: String,
    /// `None` if the target is configured, and from an older relay without this field.
    #[serde(default)]
    pub draining_until: Option<String>,
    pub next_try_seconds: Option<f64>,
    pub suspended: Vec<SuspensionJson>,
    pub last_success: Option<String>,
    pub last_error: Option<LastErrorJson>,
    pub oldest_pending_age_seconds: Option<f64>,
    pub attempts: u64,
    pub uploads: UploadsJson,
    pub accepted: Amount,
    /// `None` if the relay shares no backlog, and from an older relay without this field.
    #[serde(default)]
    pub taken_over: Option<Amount>,
    pub sent: Amount,
    pub pending: Amount,
    /// As `taken_over`.
    #[serde(default)]
    pub handed_over: Option<Amount>,
    pub dropped: BTreeMap<String, Amount>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspensionJson {
    pub surface: String,
    pub next_try_seconds: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastErrorJson {
    pub at: String,
    pub outcome: String,
    pub status: Option<u16>,
    pub text: String,
    /// What to do, as one sentence in the imperative; `None` from an older relay without this field.
    #[serde(default)]
    pub remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UploadsJson {
    pub in_flight: usize,
    pub limit: usize,
    pub most: usize,
    /// `false` from an older relay without this field.
    #[serde(default)]
    pub at_ceiling: bool,
}
