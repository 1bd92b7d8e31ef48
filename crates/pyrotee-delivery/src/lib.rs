//! The delivery path: leases records and uploads them, one [`Target`] beside the other.
//!
//! Invariants:
//!
//! - Targets share nothing but the records: each has its own queue, connections, limits and delays.
//! - What a target is sent comes from the record and its own settings. No header of a client but
//!   `Content-Type` and `Content-Encoding` gets this far.
//! - Every lease is settled: acked when the target answered 2xx, lost with a reason otherwise,
//!   released only when the relay stops.
//! - Redirects are never followed: credentials stay with the address they were given for.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod backoff;
mod client;
mod content;
mod failure_log;
pub mod metrics;
mod outcome;
mod redact;
mod request;
mod settings;
mod target;
mod upload;

pub use settings::{Credentials, OnAmbiguous, Settings, SettingsError};
pub use target::Target;
