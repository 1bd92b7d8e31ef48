//! Real SDKs against the real binary. They need tools of their own and a network: what is missing
//! is a failure that says what to install, never a test left out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is a failing test, the clock is the real one, and stderr is captured"
)]

/// The Python SDK that speaks `/ingest`.
mod python;
/// What the tests are written with.
#[path = "../e2e/support/mod.rs"]
mod support;
