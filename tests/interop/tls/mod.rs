//! TLS between the real binary and peers of other makes: OpenSSL, nginx, Go, curl, Prometheus and SDKs.
//!
//! The end-to-end tests have the same faults with rustls on both sides. Here the peers decide what they send for a
//! fault: which alert, at which moment, or an error page in its place.

/// The admin listener: curl, Prometheus, and a probe without a certificate.
mod admin;
/// Programs that send one profile to the relay: curl, `openssl s_client`, Go.
mod clients;
/// Certificates as PEM files.
mod files;
/// nginx between clients and the relay.
mod in_front;
/// Each fault of a client's handshake with the relay.
mod incoming;
/// Each fault of the relay's handshake with a target or the upstream.
mod outgoing;
/// Processes of other makes, from their start to their end.
mod process;
/// Certificates that are renewed while profiles are sent.
mod rotation;
/// The SDKs of Go, Java, Node and Python.
mod sdks;
/// Servers of other makes, in front of a stand-in.
mod servers;
/// Resumed sessions, renegotiation and old versions.
mod sessions;
