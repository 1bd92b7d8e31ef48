//! TLS of a trial: the connections that are encrypted, the certificates, and both ends of the bench.
//!
//! Load and sinks accept one version and one cipher suite, so that all candidates use the same: TLS 1.3 with
//! `TLS_AES_128_GCM_SHA256`, X25519 and certificates with keys on P-256.

mod certificates;
mod configurations;

pub(crate) use certificates::{CA, CERTIFICATE, KEY, NAME, write};
pub(crate) use configurations::{client, server};

/// The connections of a candidate that are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encrypted {
    /// Connections of clients.
    pub(crate) clients: bool,
    /// Connections to targets, or to the upstream if there are no targets. Beside targets the upstream is local.
    pub(crate) servers: bool,
}

impl Encrypted {
    /// Nothing, connections of clients, connections to servers, and all of them.
    pub(crate) const ALL: [Self; 4] = [
        Self::of(false, false),
        Self::of(true, false),
        Self::of(false, true),
        Self::of(true, true),
    ];

    const fn of(clients: bool, servers: bool) -> Self {
        Self { clients, servers }
    }

    /// The begin of the names of cells.
    pub(crate) fn name(self) -> &'static str {
        match (self.clients, self.servers) {
            (false, false) => "plain",
            (true, false) => "tls-in",
            (false, true) => "tls-out",
            (true, true) => "tls-both",
        }
    }
}
