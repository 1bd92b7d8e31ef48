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
    pub targets: Vec<TargetJson>,
    /// Empty without removed targets, and from an older relay without this field.
    #[serde(default)]
    pub removed: Vec<RemovedJson>,
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
