//! What is known of a client's connection, for those who serve its requests.

mod clock;

use std::net::SocketAddr;

pub(crate) use clock::Clock;

/// Who sent a request; an extension of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);
