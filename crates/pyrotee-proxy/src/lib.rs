//! The request path: clients in front, the local Pyroscope behind, a tee between them.
//!
//! Invariants:
//!
//! - What the upstream gets is what the client sent, and what the client gets is what the upstream
//!   answered: method, raw target, end-to-end headers, body, declared trailers.
//! - No target is waited for. The only thing known of targets here is [`pyrotee_queue::Producer`].
//! - Every request is answered: errors become answers in one place, `rescue`.
//!
//! A request passes `listener → observe → catch panics → rescue → tee → forward | discard`.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod answer;
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
mod tee;

pub use answer::{Manner, OwnBody};
pub use listener::{BindError, Listen, bind};
pub use proxy::{Gauges, Proxy};
pub use settings::{Duplicates, LocalWrites, Settings, TeeOn, TeeSettings, Upstream};
