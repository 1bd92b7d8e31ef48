//! TLS with clients of the relay, with targets and with the upstream.

/// The admin listener over TLS, asked by the commands.
mod admin_commands;
/// Relays in a chain that show each other certificates.
mod chain;
/// Faults between the relay and a server, and their remedies.
mod fault;
/// gRPC over TLS, and the connection of gRPC calls to the upstream.
mod grpc;
/// Servers that end the connection in the handshake, or never finish it.
mod handshakes;
/// Targets that cannot be used.
mod targets;
/// Certificates that are accepted.
mod trusted;
/// Upstreams that cannot be used.
mod upstream;
