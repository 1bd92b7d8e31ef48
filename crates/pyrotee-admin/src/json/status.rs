//! The JSON of `/api/v1/status`: one type for the relay that writes it and the command that reads it.
//!
//! `docs/status.md` describes every field; a test checks this. A reader must accept unknown fields and unknown values
//! of texts, because the reader may be older than the relay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Amount;

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
}

/// A file that the configuration names and that keeps its last good content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleFileJson {
    pub path: String,
    /// Why the content of now cannot be used.
    pub text: String,
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
    /// `spool` or `dead_letters`.
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
    pub sent: Amount,
    pub pending: Amount,
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
