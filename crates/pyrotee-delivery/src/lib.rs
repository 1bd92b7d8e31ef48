//! The delivery path: leases records and uploads them, one [`Target`] beside the other.
//!
//! Invariants:
//!
//! - Targets share nothing but the records: each has its own queue, connections, limits and delays.
//! - What a target is sent comes from the record and its own settings. No header of a client but
//!   `Content-Type` and `Content-Encoding` gets this far.
//! - Every lease is settled: acked when the target took the record, lost with a reason when it never
//!   will, given back for later otherwise.
//! - A target that cannot be used is tried by one probe at a time, and one that returns is not run
//!   over: uploads at once grow from one, and the backlog is paced. See `flow`.
//! - A profile is uploaded whole or not at all: each try begins with its first byte.
//! - Redirects are never followed: credentials stay with the address they were given for.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod client;
mod clock;
mod connection;
mod content;
mod failure_log;
mod flow;
pub mod metrics;
mod monitor;
mod outcome;
mod redact;
mod refusals;
mod request;
mod settings;
mod status;
mod target;
mod upload;

pub use clock::Clock;
pub use content::Content;
pub use monitor::Monitor;
pub use refusals::{Refusal, Refusals};
pub use settings::{Credentials, OnAmbiguous, Settings, SettingsError};
pub use status::{LastError, Status, Suspension, TargetState};
pub use target::Target;
