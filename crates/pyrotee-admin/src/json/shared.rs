//! The JSON of the shared backlog: `/api/v1/shared`, and the part `shared` of `/api/v1/status`.

use serde::{Deserialize, Serialize};

/// Path of the [`SharedJson`].
pub const PATH: &str = "/api/v1/shared";

/// All values of [`SharedTargetJson::state`].
pub const STATES: [&str; 3] = [WAITING, READY, UNUSABLE];

/// The relay has not looked at the target's stream yet.
pub const WAITING: &str = "waiting";

/// The relay uses the target's stream.
pub const READY: &str = "ready";

/// The target's stream cannot be used, so the target's profiles stay in memory.
pub const UNUSABLE: &str = "unusable";

/// The backlog that several relays share on NATS JetStream, as this relay sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SharedJson {
    /// Whether there is a connection to NATS.
    pub connected: bool,
    /// Address of the server in use, or of the last one.
    pub server: Option<String>,
    /// Version of that server.
    pub server_version: Option<String>,
    /// Since when the relay is connected, or is not.
    pub since: Option<String>,
    /// Why there is no connection, or why the connection is of no use, with a remedy.
    pub error: Option<String>,
    /// Relays that are alive, this one included.
    pub relays: u64,
    /// Connections made since the start.
    pub connects: u64,
    /// Connections lost since the start.
    pub disconnects: u64,
    /// Errors of connections since the start.
    pub errors: u64,
    pub targets: Vec<SharedTargetJson>,
}

/// The shared backlog of one target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SharedTargetJson {
    pub name: String,
    /// Name of the stream that holds the backlog.
    pub stream: String,
    /// One of [`STATES`].
    pub state: String,
    /// Why the stream cannot be used, with a remedy.
    pub text: Option<String>,
    /// Profiles in the stream that no target has taken yet. The number is the same in every relay.
    pub waiting: u64,
    /// Bytes of the stream.
    pub bytes: u64,
    /// Limit of these bytes.
    pub max_bytes: u64,
    /// Time since the oldest of these profiles was handed over.
    pub oldest_seconds: Option<f64>,
    /// Profiles that this relay has received and not begun to upload.
    pub buffered: u64,
    /// Profiles of the stream that this relay uploads.
    pub leased: u64,
    /// Profiles that this relay sends to NATS and that NATS has not acknowledged.
    pub publishing: u64,
    /// Length of the longest body that NATS takes, in bytes; longer ones stay in memory. 0: not known yet.
    pub longest_body: u64,
    /// What kept profiles out of the stream within the last five minutes, each with a remedy.
    #[serde(default)]
    pub notes: Vec<String>,
    pub counters: SharedCountersJson,
}

/// What happened to a target's shared backlog since the start of this relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedCountersJson {
    /// Profiles that NATS acknowledged.
    pub published: u64,
    /// Length of their bodies.
    pub published_bytes: u64,
    pub publish_failures: u64,
    /// Profiles that NATS refused because the stream was full.
    pub full: u64,
    /// Profiles that are too long for NATS and stay in memory.
    pub oversized: u64,
    /// Profiles that may be in the stream twice: they were sent again after the server forgot their numbers.
    pub possibly_doubled: u64,
    /// Profiles received that had been given to a relay before.
    pub redelivered: u64,
    /// Profiles given back because another relay means another target by the same name.
    pub mismatched: u64,
    /// Damaged records, which are dropped.
    pub corrupt: u64,
    /// Records of a later format, which are given back.
    pub unknown_version: u64,
    /// Records that the server kept although they were acknowledged, and that were deleted.
    pub orphans: u64,
    /// Profiles dropped from the stream because of the target's `max-age`.
    pub expired: u64,
    /// Profiles dropped from the stream on request.
    pub purged: u64,
}
