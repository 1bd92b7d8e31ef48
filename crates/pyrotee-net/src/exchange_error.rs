//! Why an HTTP exchange with another server failed.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use hyper_util::client::legacy;

use pyrotee_tls::{ClientContext, TlsWords, causes, client_words};

use crate::connector::LimitReached;
use crate::dialer::BrokenHandshake;
use crate::refusal::RefusedAddress;
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
    remedy: &'static str,
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
        let broken = causes(error).find_map(<Cause>::downcast_ref);
        let refused = causes(error).find_map(<Cause>::downcast_ref::<RefusedAddress>);
        let kind = connect_kind(error);
        let error = match (broken, client_words(error, ClientContext::default())) {
            (Some(BrokenHandshake(words)), _) => Self {
                written: false,
                remedy: words.remedy,
                ..Self::new(ExchangeErrorKind::Connect, words.text.clone())
            },
            (None, Some(words)) => Self::tls(&words),
            (None, None) => Self {
                written: false,
                limit: causes(error).any(|cause| cause.is::<LimitReached>()),
                remedy: refused.map_or(kind.remedy(), |it| it.refusal.remedy),
                ..Self::new(kind, deepest(error))
            },
        };
        Self {
            connecting: true,
            ..error
        }
    }

    /// An exchange over a connection in `state` failed with `error`. `body_taken`: hyper has taken the whole
    /// body of the request. If hyper did not start to send the request because the connection had ended, the
    /// connection counts as stale if the peer had responded before. A failure of TLS that `state` knows is the cause,
    /// whatever `error` says: the peer has not processed the request.
    pub fn broken(error: &hyper::Error, state: &ConnectionState, body_taken: bool) -> Self {
        let unsent = error.is_canceled() && state.has_answered();
        Self::ended(deepest(error), state, body_taken, unsent)
    }

    /// An exchange over a connection of a `hyper-util` pool failed with `error`. `body_taken`: as for
    /// [`ExchangeError::broken`].
    pub fn pooled(error: &legacy::Error, body_taken: bool) -> Self {
        if error.is_connect() {
            return Self::connect(error);
        }
        match connection_state(error) {
            Some(state) => Self::ended(deepest(error), &state, body_taken, false),
            // The pool gave the connection up before it knew it.
            None => match causes(error).find_map(<Cause>::downcast_ref) {
                Some(words) => Self::tls(words),
                None => Self::ended(
                    deepest(error),
                    &ConnectionState::default(),
                    body_taken,
                    false,
                ),
            },
        }
    }

    /// A connection in `state` ended without an error and without a response; `text` says when.
    pub fn closed(text: impl Into<String>, state: &ConnectionState) -> Self {
        Self::ended(text, state, true, false)
    }

    fn ended(
        text: impl Into<String>,
        state: &ConnectionState,
        body_taken: bool,
        unsent: bool,
    ) -> Self {
        if let Some(words) = state.tls_failure() {
            return Self::tls(words);
        }
        Self {
            stale: unsent || state.is_stale(body_taken),
            unanswered: unsent || state.is_unanswered(),
            written: !unsent && state.is_written(body_taken),
            ..Self::new(ExchangeErrorKind::Reset, text)
        }
    }

    /// TLS refused the connection, so the peer has not processed a request.
    fn tls(words: &TlsWords) -> Self {
        Self {
            written: false,
            remedy: words.remedy,
            ..Self::new(ExchangeErrorKind::Tls, words.text.clone())
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
            remedy: kind.remedy(),
        }
    }

    /// Kind of the failure.
    pub fn kind(&self) -> ExchangeErrorKind {
        self.kind
    }

    /// What an operator does about the failure: one imperative sentence without a full stop.
    pub fn remedy(&self) -> &'static str {
        self.remedy
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
        if cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
        {
            return ExchangeErrorKind::Timeout;
        }
    }
    ExchangeErrorKind::Connect
}

/// Text of the innermost cause, which says most: "connection refused" rather than "client error (Connect)".
fn deepest(error: &Cause) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
