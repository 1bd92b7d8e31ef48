//! What is known of a client's connection, for those who serve its requests.

mod clock;

use std::net::SocketAddr;

pub(crate) use clock::Clock;

/// A client's connection. Its requests have an `Arc` of it among their extensions.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) clock: Clock,
}
