//! Pull mode: finds scrape targets, scrapes their profiles, and hands them to the relay's own stack (ADR 15).
//!
//! A *job* is an entry of `scrape-configs`. Its discovery finds *scrape targets*; its pool runs one *loop* for each
//! scrape target and profile: one URL, one baseline, one request at a time. Nothing here is on the request path.
//!
//! Invariants:
//!
//! - A loop that fails, hangs or panics delays no other loop: a request that waits for its application occupies no place
//!   of `max-concurrent`.
//! - All memory is charged before it is used: profiles to the budget of the relay, baselines to `state-limit`.
//! - No value that is sent is negative, and no profile that was not sent is counted as sent.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod discovery;
mod fetch;
mod form;
mod limits;
pub mod metrics;
mod parts;
mod pool;
mod process;
mod schedule;
mod scraper;
mod sender;
mod shared;
mod status;
mod target;
#[cfg(test)]
mod tests;

pub use parts::Parts;
pub use scraper::Scraper;
pub use sender::{SendError, Sender};
pub use status::{Health, TargetStatus};
