//! Addresses at which nothing listens.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use rustix::net::{self, AddressFamily, SocketType};

/// A port that refuses every connection. It stays bound, so that no parallel test can be given it.
#[derive(Debug)]
pub(crate) struct Refusing {
    address: SocketAddr,
    socket: OwnedFd,
}

impl Refusing {
    pub(crate) fn new() -> Self {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)
            .expect("a socket can be made");
        net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        let name = net::getsockname(&socket).expect("a bound socket has an address");
        let address = SocketAddr::try_from(name).expect("an address of the family asked for");
        Self { address, socket }
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
