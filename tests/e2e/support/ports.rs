//! Addresses at which nothing listens.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use rustix::net::{self, AddressFamily, SocketType, sockopt};

/// A port that refuses every connection. It stays bound, so that the kernel gives it to no parallel test, neither for
/// a listener nor for a connection. A listener at its address (`SO_REUSEADDR`, which the standard library sets) is
/// possible beside it.
#[derive(Debug)]
pub(crate) struct Refusing {
    address: SocketAddr,
    socket: OwnedFd,
}

impl Refusing {
    pub(crate) fn new() -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Reserves this address; port 0 is any free port.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = net::socket(family, SocketType::STREAM, None).expect("a socket can be made");
        sockopt::set_socket_reuseaddr(&socket, true).expect("the option is known");
        net::bind(&socket, &address).unwrap_or_else(|error| panic!("bind {address}: {error}"));
        let name = net::getsockname(&socket).expect("a bound socket has an address");
        let address = SocketAddr::try_from(name).expect("an address of the family asked for");
        Self { address, socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes the port listen from now on.
    pub(crate) fn open(self) -> TcpListener {
        net::listen(&self.socket, 128).expect("a bound socket can listen");
        self.socket.into()
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(out)
    }
}
