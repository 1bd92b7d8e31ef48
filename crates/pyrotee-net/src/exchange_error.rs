//! Why an HTTP exchange with another server failed.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hyper_util::client::legacy;

use crate::{ConnectionState, ResolveError};

type Cause = dyn StdError + 'static;

/// Why an exchange failed, as the `kind` label of the error counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExchangeErrorKind {
    /// The host name did not resolve.
    Dns,
    /// Nobody accepted the connection.
    Connect,
    /// The TLS handshake failed, or the certificate is not trusted.
    Tls,
    /// A time limit ran out.
    Timeout,
    /// The connection broke, or the peer sent something that is not HTTP.
    Reset,
}

impl ExchangeErrorKind {
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

/// An exchange with another server that ended without a response: connecting, sending the request or
/// receiving the response failed. `Display` is the innermost cause.
#[derive(Debug)]
pub struct ExchangeError {
    kind: ExchangeErrorKind,
    /// There was no connection, so the peer received nothing of the request.
    connecting: bool,
    stale: bool,
    text: String,
}

impl ExchangeError {
    /// A time limit ran out; `text` says which. `connecting`: there was no connection yet.
    pub fn timeout(text: impl Into<String>, connecting: bool) -> Self {
        Self {
            kind: ExchangeErrorKind::Timeout,
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

    /// An exchange over a connection in `state` failed with `error`. If hyper did not start to send the
    /// request because the connection had ended, the connection was stale if it had answered before.
    pub fn broken(error: &hyper::Error, state: &ConnectionState) -> Self {
        let unsent = error.is_canceled() && state.has_answered();
        Self {
            stale: unsent || state.is_stale(),
            ..Self::reset(deepest(error))
        }
    }

    /// The connection broke; `text` says how.
    pub fn reset(text: impl Into<String>) -> Self {
        Self {
            kind: ExchangeErrorKind::Reset,
            connecting: false,
            stale: false,
            text: text.into(),
        }
    }

    /// Kind of the failure.
    pub fn kind(&self) -> ExchangeErrorKind {
        self.kind
    }

    /// Whether connecting failed: the peer received nothing of the request.
    pub fn is_connect(&self) -> bool {
        self.connecting
    }

    /// Whether the exchange failed on a stale connection, so that the request may be repeated at once.
    pub fn is_stale(&self) -> bool {
        self.stale
    }
}

impl From<&legacy::Error> for ExchangeError {
    fn from(error: &legacy::Error) -> Self {
        if error.is_connect() {
            return Self::connect(error);
        }
        let stale = connection_state(error).is_some_and(|state| state.is_stale());
        Self {
            stale,
            ..Self::reset(deepest(error))
        }
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for ExchangeError {}

fn connection_state(error: &legacy::Error) -> Option<ConnectionState> {
    let mut extras = http::Extensions::new();
    error.connect_info()?.get_extras(&mut extras);
    extras.remove::<ConnectionState>()
}

fn connect_kind(error: &Cause) -> ExchangeErrorKind {
    for cause in causes(error) {
        if cause.is::<ResolveError>() {
            return ExchangeErrorKind::Dns;
        }
        if cause.is::<rustls::Error>() {
            return ExchangeErrorKind::Tls;
        }
        if cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
        {
            return ExchangeErrorKind::Timeout;
        }
    }
    ExchangeErrorKind::Connect
}

/// The chain of causes. `io::Error::source()` skips the error that it wraps: `get_ref` returns it.
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

/// Text of the innermost cause, which says most: "connection refused" rather than "client error (Connect)".
fn deepest(error: &Cause) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
