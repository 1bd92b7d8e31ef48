//! The request path: relays client requests to the upstream and tees profiles to the targets.
//!
//! Invariants:
//!
//! - The upstream receives the client's request, and the client the upstream's response, without changes to method, raw
//!   request target, end-to-end headers, body and declared trailers.
//! - The request path never waits for a target. It knows targets only as a
//!   [`pyrotee_queue::Producer`].
//! - Every request gets a response: errors become responses in one place, `rescue`.
//!
//! A request passes `listener → observe → catch panics → rescue → tee → forward | discard`.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod client;
mod discard;
mod forward;
mod head;
mod listener;
pub mod metrics;
mod observe;
mod proxy;
mod rescue;
mod settings;
mod stack;
mod synthetic_response;
mod tee;
#[cfg(test)]
mod tests;
mod upstream_limit;
mod upstream_monitor;

pub use forward::UpstreamTlsHandle;
pub use listener::Entrance;
pub use proxy::{Gauges, Proxy};
pub use settings::{Duplicates, LocalWrites, Settings, TeeOn, TeeSettings, UpstreamSettings};
pub use synthetic_response::{ResponseFormat, SyntheticBody};
pub use tee::PolicyHandle;
pub use upstream_monitor::UpstreamMonitor;
