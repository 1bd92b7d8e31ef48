//! The JSON of `/api/v1/status`: one type for the relay that writes it and the command that reads it.
//!
//! `docs/status.md` describes every field, which a test holds. A reader must take fields that it does
//! not know and words that are new: it may be older than the relay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::Amount;

/// Where it is served.
pub(crate) const PATH: &str = "/api/v1/status";

/// A relay and its targets at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) version: String,
    pub(crate) started: String,
    pub(crate) time: String,
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) state: String,
    pub(crate) next_try_seconds: Option<f64>,
    pub(crate) suspended: Vec<Suspension>,
    pub(crate) last_success: Option<String>,
    pub(crate) last_error: Option<LastError>,
    pub(crate) oldest_pending_age_seconds: Option<f64>,
    pub(crate) attempts: u64,
    pub(crate) uploads: Uploads,
    pub(crate) accepted: Amount,
    pub(crate) sent: Amount,
    pub(crate) pending: Amount,
    pub(crate) dropped: BTreeMap<String, Amount>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Suspension {
    pub(crate) surface: String,
    pub(crate) next_try_seconds: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastError {
    pub(crate) at: String,
    pub(crate) outcome: String,
    pub(crate) status: Option<u16>,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Uploads {
    pub(crate) in_flight: usize,
    pub(crate) limit: usize,
    pub(crate) most: usize,
}
