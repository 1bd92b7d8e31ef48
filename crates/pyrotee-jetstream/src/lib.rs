//! A backlog that several relays share, on NATS JetStream.
//!
//! Fresh profiles stay in the memory of the relay that captured them, and never wait for NATS. Profiles that wait longer
//! go to a stream of their target, from which any relay with the same target takes them over.
//!
//! This crate is the only one that uses the library of NATS.

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

mod fleet;
pub mod inspect;
mod link;
mod names;
mod settings;
mod streams;
#[cfg(feature = "testing")]
pub mod testing;

pub use fleet::Fleet;
pub use link::LinkState;
pub use settings::{Auth, Policy, Server, Settings, Timing};
