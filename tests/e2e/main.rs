//! Black-box tests: the real binary, real sockets, raw bytes on both sides of it.
//!
//! A number such as `§8 #12` is a row of the table of tricky cases the project was designed by; the
//! text beside it says all that is needed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is a failing test, the clock is the real one, and stderr is captured"
)]

/// What the tests are written with.
mod support;
