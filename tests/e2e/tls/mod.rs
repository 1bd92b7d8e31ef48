//! TLS with clients of the relay, with targets and with the upstream.

/// The admin listener over TLS, asked by the commands.
mod admin_commands;
/// Relays in a chain that show each other certificates.
mod chain;
/// gRPC over TLS, and the connection of gRPC calls to the upstream.
mod grpc;
/// Targets and upstreams over https.
mod servers;
