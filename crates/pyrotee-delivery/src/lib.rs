//! The delivery path: one [`Deliverer`] per target leases the target's records and uploads them.
//!
//! Invariants:
//!
//! - Targets share nothing but the records: each has its own queue, connections, limits and delays.
//! - An upload consists of the record and the target's settings. A record contains no header of a client except
//!   those that give its body a meaning, such as `Content-Type`: a closed list.
//! - An upload keeps the settings with which it began. Later uploads have the settings that replaced them.
//! - Every lease is settled: acked when the target acknowledged the record, dropped with a reason when the target
//!   never will, retried otherwise.
//! - A target whose circuit breaker is open is sent one probe at a time. After the target recovers, the number of
//!   uploads at once grows from one, and the backlog is paced. See `flow`.
//! - Each attempt sends the whole body from its first byte.
//! - Redirects are never followed, so credentials are sent only to the configured address.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod client;
mod connection;
mod content;
mod credential_refresh;
mod dead_letters;
mod deliverer;
mod failure_log;
mod flow;
pub mod metrics;
mod monitor;
mod outcome;
mod redact;
mod remedy;
mod request;
mod response;
mod route;
mod settings;
mod status;
mod trial;
mod upload_body;

pub use content::{Content, ContentCheck};
pub use credential_refresh::CredentialRefresh;
pub use dead_letters::{DeadLetter, DeadLetterReason, DeadLetterSink};
pub use deliverer::{Deliverer, TargetHandle};
pub use monitor::TargetMonitor;
pub use settings::{Credentials, OnAmbiguous, Settings, SettingsError};
pub use status::{LastError, SuspendedSurface, TargetState, TargetStatus};
pub use trial::{Trial, TrialResult};
