//! Real SDKs against the real binary. They need tools of their own and a network: what is missing
//! is a failure that says what to install, never a test left out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is a failing test, the clock is the real one, and stderr is captured"
)]

/// An SDK once against the stand-in itself and once through the relay, and what has to be equal.
mod compare;
/// `github.com/grafana/pyroscope-go`.
mod go;
/// The rules of HTTP/2.
mod http2;
/// `io.pyroscope:agent`.
mod java;
/// `@pyroscope/nodejs`.
mod node;
/// Reads a Push request.
mod push;
/// `pyroscope-io`: the newest one, and the last one that speaks `/ingest`.
mod python;
/// `pyroscope`.
mod rust;
/// What two requests of one SDK have in common.
mod shape;
/// What the tests are written with.
#[path = "../e2e/support/mod.rs"]
mod support;
/// Tools that come with an SDK's language.
mod tools;
