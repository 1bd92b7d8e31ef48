//! Real SDKs, and TLS of other makes, against the real binary. They need tools of their own and a network. A missing tool is a failure that says
//! what to install, never a skipped test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is a failing test, the clock is the real one, and stderr is captured"
)]

/// Runs an SDK against a stand-in directly and through the relay, and compares the requests.
mod compare;
/// `github.com/grafana/pyroscope-go`.
mod go;
/// The rules of HTTP/2, tested by h2spec.
mod http2;
/// `io.pyroscope:agent`.
mod java;
/// `@pyroscope/nodejs`.
mod node;
/// Reads a Push request.
mod push;
/// `pyroscope-io`: the newest version, and the last version that uses `/ingest`.
mod python;
/// `pyroscope`.
mod rust;
/// Pull mode: deltas of profiles of Go, compared with `github.com/google/pprof`.
mod scrape;
/// The parts of a request that must be equal in two runs of an SDK.
mod shape;
/// Helpers that are shared with the end-to-end tests.
#[path = "../e2e/support/mod.rs"]
mod support;
/// TLS with OpenSSL, nginx and Go as peers, and SDKs through a listener with TLS.
mod tls;
/// Installs and runs the tools of an SDK's language.
mod tools;
