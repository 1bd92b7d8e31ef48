//! TLS with clients of the relay, with targets and with the upstream.

/// The admin listener over TLS, asked by the commands.
mod admin_commands;
/// Servers that end the connection in the handshake, or never finish it.
mod broken_handshakes;
/// Relays in a chain that show each other certificates.
mod chain;
/// Clients of both listeners: who is served, and who is refused with which reason.
mod clients;
/// Clients and servers that all speak TLS.
mod end_to_end;
/// A fault between the relay and a server, and its remedy.
mod fault;
/// The faults that are tested.
mod faults;
/// gRPC over TLS, and the connection of gRPC calls to the upstream.
mod grpc;
/// Calls of gRPC to an upstream that cannot be used.
mod grpc_faults;
/// Connections to a TLS port that do not speak TLS, or do not finish a handshake.
mod handshakes;
/// Large profiles for servers that refuse the client's certificate after the handshake.
mod late_refusals;
/// A relay whose two listeners speak TLS.
mod listeners;
/// Certificates, keys and authorities that change while the relay runs.
mod rotation;
/// Keys and passphrases are shown nowhere.
mod secrets;
/// Handshakes that stand still.
mod slow;
/// The variables that name the authorities of the system.
mod system_roots;
/// Targets that cannot be used.
mod targets;
/// Certificates that are accepted.
mod trusted;
/// Upstreams that cannot be used.
mod upstream;
