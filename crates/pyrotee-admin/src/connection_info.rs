//! Facts about the connection of a request.

use std::net::IpAddr;

/// The connection over which a request arrived; an extension of each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionInfo {
    pub(crate) peer: IpAddr,
    /// The connection was accepted beyond the limit of connections, so that probes and scrapes are answered; the
    /// listener serves nothing else over it.
    pub(crate) is_extra: bool,
    /// The client showed a certificate of an authority in `admin-tls.client-ca-file`.
    pub(crate) has_certificate: bool,
}
