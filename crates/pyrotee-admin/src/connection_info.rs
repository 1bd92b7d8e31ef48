//! What a request knows of its connection.

use std::net::IpAddr;

/// An extension of each request: the connection that it came over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionInfo {
    pub(crate) peer: IpAddr,
    /// It was accepted beyond the limit of connections, so that probes and scrapes are answered: nothing else is
    /// to be served.
    pub(crate) is_extra: bool,
}
