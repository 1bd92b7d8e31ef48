//! Who sends the requests of a connection.

use std::fmt;
use std::net::SocketAddr;

/// Who sends the requests of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A client at this address.
    Client(SocketAddr),
    /// The relay itself: it sends the profiles that it scraped.
    Relay,
}

/// How profiles reach the relay: the `source` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A client sent them.
    Pushed,
    /// The relay scraped them.
    Pulled,
}

impl Peer {
    /// The address of a client; `None` for the relay itself.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Client(address) => Some(address),
            Self::Relay => None,
        }
    }

    /// How the profiles of this connection reach the relay.
    pub(crate) fn source(self) -> Source {
        match self {
            Self::Client(_) => Source::Pushed,
            Self::Relay => Source::Pulled,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Client(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(address) => address.fmt(f),
            Self::Relay => f.write_str("the relay itself"),
        }
    }
}

impl Source {
    /// The value of the label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Pulled => "pulled",
        }
    }
}
