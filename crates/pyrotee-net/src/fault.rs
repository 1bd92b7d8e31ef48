//! Why an exchange with another server failed.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hyper_util::client::legacy;

use crate::{Link, ResolveError};

type Cause = dyn StdError + 'static;

/// What kind of failure it was: the `kind` label of error counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The name did not resolve.
    Dns,
    /// No connection.
    Connect,
    /// The TLS handshake failed, or the certificate is not trusted.
    Tls,
    /// It took too long.
    Timeout,
    /// The connection broke, or what came over it was not HTTP.
    Reset,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
    ];

    /// The value of the `kind` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
        }
    }
}

/// A failed exchange.
#[derive(Debug)]
pub struct Fault {
    kind: FaultKind,
    /// There was no connection, so nothing of the request left.
    connecting: bool,
    stale: bool,
    text: String,
}

impl Fault {
    /// Something took longer than it may; `text` says what. `connecting`: it was the connection.
    pub fn timeout(text: impl Into<String>, connecting: bool) -> Self {
        Self {
            kind: FaultKind::Timeout,
            connecting,
            stale: false,
            text: text.into(),
        }
    }

    /// A connector failed with `error`.
    pub fn connect(error: &Cause) -> Self {
        Self {
            kind: connect_kind(error),
            connecting: true,
            stale: false,
            text: deepest(error),
        }
    }

    /// An exchange over the connection of `link` failed with `error`. A request that was not begun,
    /// because the connection had ended, met a stale one if it had answered before.
    pub fn broken(error: &hyper::Error, link: &Link) -> Self {
        let unsent = error.is_canceled() && link.has_answered();
        Self {
            stale: unsent || link.is_stale(),
            ..Self::reset(deepest(error))
        }
    }

    /// The connection broke while `text`.
    pub fn reset(text: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Reset,
            connecting: false,
            stale: false,
            text: text.into(),
        }
    }

    /// Kind of the failure.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Whether it was no connection at all: nothing of the request left.
    pub fn is_connect(&self) -> bool {
        self.connecting
    }

    /// Whether a kept-alive connection had gone stale, so that the request may be repeated at once.
    pub fn is_stale(&self) -> bool {
        self.stale
    }
}

impl From<&legacy::Error> for Fault {
    fn from(error: &legacy::Error) -> Self {
        if error.is_connect() {
            return Self::connect(error);
        }
        let stale = link(error).is_some_and(|link| link.is_stale());
        Self {
            stale,
            ..Self::reset(deepest(error))
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Fault {}

fn link(error: &legacy::Error) -> Option<Link> {
    let mut extras = http::Extensions::new();
    error.connect_info()?.get_extras(&mut extras);
    extras.remove::<Link>()
}

fn connect_kind(error: &Cause) -> FaultKind {
    for cause in causes(error) {
        if cause.is::<ResolveError>() {
            return FaultKind::Dns;
        }
        if cause.is::<rustls::Error>() {
            return FaultKind::Tls;
        }
        if cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
        {
            return FaultKind::Timeout;
        }
    }
    FaultKind::Connect
}

/// The chain of causes. An `io::Error` keeps what it wraps out of `source()`: that is unpacked.
fn causes<'a>(error: &'a Cause) -> impl Iterator<Item = &'a Cause> {
    std::iter::successors(Some(error), |&error: &&'a Cause| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &'a Cause),
            None => error.source(),
        }
    })
}

/// The innermost cause says most: "connection refused" rather than "client error (Connect)".
fn deepest(error: &Cause) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
