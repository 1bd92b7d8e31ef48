//! Binds the address to listen on.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Maximum number of connections that wait in the kernel to be accepted.
const BACKLOG: u32 = 1_024;

/// The address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// This port on all interfaces, IPv6 and IPv4.
    All(u16),
    /// This address only.
    One(SocketAddr),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(port) => write!(f, ":{port}"),
            Self::One(address) => address.fmt(f),
        }
    }
}

/// An address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("listen on {listen}")]
pub struct BindError {
    listen: Listen,
    #[source]
    source: io::Error,
}

/// Binds a listening socket and returns it with its address. Port 0 takes any free port.
///
/// # Errors
///
/// If the address is in use, not an address of this machine, or not permitted.
pub fn bind(listen: Listen) -> Result<(TcpListener, SocketAddr), BindError> {
    let bound = match listen {
        Listen::One(address) => open(address),
        // One IPv6 socket takes both families. On a machine without IPv6, fall back to IPv4.
        Listen::All(port) => open((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port).into())
            .or_else(|_| open((IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).into())),
    };
    let bound = bound.and_then(|socket| socket.local_addr().map(|address| (socket, address)));
    bound.map_err(|source| BindError { listen, source })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Otherwise connections of the last run in TIME_WAIT would block a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_interfaces_take_both_families() {
        let (_socket, address) = bind(Listen::All(0)).unwrap();
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, address.port()))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let (_first, taken) = bind(Listen::One("127.0.0.1:0".parse().unwrap())).unwrap();
        let error = bind(Listen::One(taken)).unwrap_err();
        assert_eq!(error.to_string(), format!("listen on {taken}"));
    }
}
