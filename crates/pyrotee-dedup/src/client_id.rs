//! Who sent a request.

use std::net::{IpAddr, SocketAddr};

/// The client of a request, as the request's headers or connection identify it.
#[derive(Debug, Hash)]
pub enum ClientId<'a> {
    /// The address of the client.
    Address(IpAddr),
    /// Text that a proxy wrote in place of an address.
    Name(&'a [u8]),
}

impl<'a> ClientId<'a> {
    /// The client in `forwarded_for`, the first entry of `X-Forwarded-For`, or `peer` if there is none. Ports do not
    /// count, because a retry may come from another one.
    pub fn new(forwarded_for: Option<&'a [u8]>, peer: SocketAddr) -> Self {
        let Some(name) = forwarded_for else {
            return Self::Address(peer.ip().to_canonical());
        };
        let text = str::from_utf8(name).unwrap_or_default();
        let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
        match text.parse::<IpAddr>().or_else(|_| with_port()) {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_its_first_forwarded_address_or_its_peer_without_a_port() {
        let peer = "10.9.9.9:5000".parse().unwrap();
        for (forwarded, client) in [
            (None, "Address(10.9.9.9)"),
            (Some("10.0.0.1"), "Address(10.0.0.1)"),
            (Some("10.0.0.1:4711"), "Address(10.0.0.1)"),
            (Some("::ffff:10.0.0.1"), "Address(10.0.0.1)"),
            (Some("[fd00::1]:4711"), "Address(fd00::1)"),
            (Some("fd00::1"), "Address(fd00::1)"),
            (Some("_hidden"), "Name([95, 104, 105, 100, 100, 101, 110])"),
        ] {
            let found = ClientId::new(forwarded.map(str::as_bytes), peer);
            let found = format!("{found:?}");
            assert_eq!(found, client, "{forwarded:?}");
        }
        let mapped = "[::ffff:10.0.0.1]:1".parse().unwrap();
        let found = format!("{:?}", ClientId::new(None, mapped));
        assert_eq!(found, "Address(10.0.0.1)");
    }
}
