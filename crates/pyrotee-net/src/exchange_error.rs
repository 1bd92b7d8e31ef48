//! Why an HTTP exchange with another server failed.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hyper_util::client::legacy;

use crate::connector::LimitReached;
use crate::{ConnectionState, ExchangeErrorKind, ResolveError};

type Cause = dyn StdError + 'static;

/// An exchange with another server that ended without a response: connecting, sending the request or
/// receiving the response failed. `Display` is the innermost cause.
#[derive(Clone, Debug)]
pub struct ExchangeError {
    kind: ExchangeErrorKind,
    /// There was no connection, so the peer received nothing of the request.
    connecting: bool,
    stale: bool,
    /// A kept connection ended without one byte of a response.
    unanswered: bool,
    /// The whole request may have been written.
    written: bool,
    /// All connections that the connector may open were in use.
    limit: bool,
    text: String,
}

impl ExchangeError {
    /// A time limit ran out; `text` says which. `connecting`: there was no connection yet.
    pub fn timeout(text: impl Into<String>, connecting: bool) -> Self {
        Self {
            connecting,
            written: !connecting,
            ..Self::new(ExchangeErrorKind::Timeout, text)
        }
    }

    /// A connector failed with `error`.
    pub fn connect(error: &Cause) -> Self {
        Self {
            connecting: true,
            written: false,
            limit: causes(error).any(|cause| cause.is::<LimitReached>()),
            ..Self::new(connect_kind(error), deepest(error))
        }
    }

    /// An exchange over a connection in `state` failed with `error`. `body_taken`: hyper has taken the whole
    /// body of the request. If hyper did not start to send the request because the connection had ended, the
    /// connection counts as stale if the peer had responded before.
    pub fn broken(error: &hyper::Error, state: &ConnectionState, body_taken: bool) -> Self {
        let unsent = error.is_canceled() && state.has_answered();
        Self {
            stale: unsent || state.is_stale(body_taken),
            unanswered: unsent || state.is_unanswered(),
            written: !unsent && state.is_written(body_taken),
            ..Self::new(broken_kind(error), deepest(error))
        }
    }

    /// An exchange over a connection of a `hyper-util` pool failed with `error`. `body_taken`: as for
    /// [`ExchangeError::broken`].
    pub fn pooled(error: &legacy::Error, body_taken: bool) -> Self {
        if error.is_connect() {
            return Self::connect(error);
        }
        let state = connection_state(error).unwrap_or_default();
        Self {
            stale: state.is_stale(body_taken),
            unanswered: state.is_unanswered(),
            written: state.is_written(body_taken),
            ..Self::new(broken_kind(error), deepest(error))
        }
    }

    /// The connection broke; `text` says how.
    pub fn reset(text: impl Into<String>) -> Self {
        Self::new(ExchangeErrorKind::Reset, text)
    }

    fn new(kind: ExchangeErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            connecting: false,
            stale: false,
            unanswered: false,
            written: true,
            limit: false,
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

    /// Whether no connection was opened because all connections that the connector may open were in use.
    pub fn is_limit(&self) -> bool {
        self.limit
    }

    /// Whether the exchange failed on a stale connection: the peer closed a kept connection before the whole
    /// request was written, so the request may be repeated at once.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Whether a kept connection ended without one byte of a response. The peer may have handled the request,
    /// unless [`ExchangeError::is_stale`].
    pub fn is_unanswered(&self) -> bool {
        self.unanswered
    }

    /// Whether the whole request may have been written.
    pub fn is_written(&self) -> bool {
        self.written
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

/// The kind of a failure over an open connection. With TLS 1.3 a server refuses the client's certificate, or the lack
/// of one, after the client's side of the handshake: the first read finds the alert.
fn broken_kind(error: &Cause) -> ExchangeErrorKind {
    let refused = causes(error)
        .any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::AlertReceived(_))));
    match refused {
        true => ExchangeErrorKind::Tls,
        false => ExchangeErrorKind::Reset,
    }
}

/// The chain of causes. `io::Error::source()` skips the error that the `io::Error` wraps; `get_ref` returns the
/// wrapped error.
pub(crate) fn causes<'a>(error: &'a Cause) -> impl Iterator<Item = &'a Cause> {
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
