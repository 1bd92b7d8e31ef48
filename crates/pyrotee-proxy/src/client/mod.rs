//! What is known of a client's connection, for those who serve its requests.

mod clock;
mod uploads;

use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) use clock::Clock;
pub(crate) use uploads::{Upload, Uploads};

/// A client's connection. Its requests have an `Arc` of it among their extensions.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) clock: Clock,
    /// Those of all connections.
    pub(crate) uploads: Arc<Uploads>,
}
