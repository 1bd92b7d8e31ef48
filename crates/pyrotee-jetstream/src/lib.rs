//! A backlog that several relays share, on NATS JetStream.
//!
//! Fresh profiles stay in the memory of the relay that captured them, and never wait for NATS. Profiles that wait longer
//! go to a stream of their target, from which any relay with the same target takes them over.
//!
//! This crate is the only one that uses the library of NATS.
//!
//! Three tasks per target share one queue in memory with the target's deliverer: the *keeper* provides the stream and
//! looks at it, the *tunnel* hands records over, the *receiver* takes records over into a short buffer.
//!
//! Invariants:
//!
//! - Nothing waits for NATS: while it is away, the queue in memory is all there is, and no lock is held over a request.
//! - A record is in one account at a time: it is pending here until the broker has acknowledged it, and again from its
//!   receipt until it is settled or given back. What a relay removes from a stream, that relay counts.
//! - Every record may be delivered twice, none is lost silently: an answer of the broker that does not come means that
//!   the record may be stored, so it is published again under the same id.
//! - The budget is charged for all bytes that this crate or the client of NATS holds.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a panic is a failing test, and tests may spawn bare tasks"
    )
)]

mod backend;
mod closer;
mod consumer;
mod control;
mod counters;
mod expire;
mod final_answers;
mod fleet;
mod histories;
pub mod inspect;
mod keep;
mod lease;
mod link;
mod look;
mod message_ids;
mod message_key;
mod monitor;
mod names;
mod obstacle;
mod open;
mod pace;
mod parts;
mod receive;
mod record;
mod settings;
mod shelf;
mod streams;
mod target;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
mod tunnel;

pub use closer::Closer;
pub use control::{Control, ControlError};
pub use counters::Counters;
pub use fleet::Fleet;
pub use link::LinkState;
pub use monitor::{Monitor, Stats, TargetStats};
pub use open::Opened;
pub use settings::{Auth, Policy, Server, Settings, Timing};
pub use target::StreamState;
