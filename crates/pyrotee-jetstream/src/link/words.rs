//! Errors of the connection in words, each with what to do.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{AccountError, AccountErrorKind};
use async_nats::{ConnectError, ConnectErrorKind};
use pyrotee_tls::{ClientTls, TlsWords, causes, client_words, tls_error};

use crate::settings::{Auth, Server, Settings};

/// The server has no JetStream, and what to do.
pub(crate) const NO_JETSTREAM: &str = "the server has no JetStream";
pub(crate) const ENABLE_JETSTREAM: &str =
    "enable JetStream on the server (jetstream {} in its configuration)";

/// JetStream is off for the account, and what to do.
pub(crate) const ENABLE_FOR_ACCOUNT: &str =
    "enable JetStream for the account, with storage for the streams";

/// What happened, and what to do. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) text: String,
    pub(super) remedy: String,
    /// Whether nothing was reached at the address.
    pub(super) is_far: bool,
}

impl Fault {
    pub(super) fn new(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            remedy: remedy.into(),
            is_far: false,
        }
    }

    /// Nothing was reached at the address.
    fn far(text: &str, remedy: &str) -> Self {
        Self {
            is_far: true,
            ..Self::new(text, remedy)
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.text, self.remedy)
    }
}

impl From<TlsWords> for Fault {
    fn from(words: TlsWords) -> Self {
        Self::new(words.text, words.remedy)
    }
}

/// Why a client could not connect.
pub(super) fn of(error: &ConnectError, settings: &Settings, server: &Server) -> Fault {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => return refused(&settings.auth),
        ConnectErrorKind::Authentication => {
            return Fault::new(
                "the credentials cannot sign what the server asks",
                format!("correct {}", key(&settings.auth)),
            );
        }
        ConnectErrorKind::TimedOut => return silent(),
        _ => {}
    }
    let is_tls = tls_error(error).is_some();
    if is_tls && !server.tls {
        return Fault::new("the server demands TLS", "write tls:// in shared.servers");
    }
    let context = settings.tls.as_ref().map(ClientTls::context);
    if let Some(words) = client_words(error, context.unwrap_or_default()) {
        return words.into();
    }
    let cause = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => Fault::far(
            "the connection is refused",
            "start NATS there, or correct the port in shared.servers",
        ),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Fault::far(
            "there is no route to the server",
            "check the network, and the address in shared.servers",
        ),
        Some(io::ErrorKind::TimedOut) => silent(),
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof,
        ) => Fault::new(
            "the server closed the connection",
            "read the log of the server; it may be restarting",
        ),
        _ => {
            let last: Option<&(dyn StdError + 'static)> = causes(error).last();
            let text = last.map_or_else(|| error.to_string(), ToString::to_string);
            // The library asks for what needs headers.
            if text.contains("headers support") {
                return without_headers();
            }
            Fault::new(
                format!("the handshake with the server failed: {text}"),
                "check that the port is that of NATS clients, and read the log of the server",
            )
        }
    }
}

fn silent() -> Fault {
    Fault::far(
        "the server does not answer",
        "check the server, the network, and the address in shared.servers",
    )
}

/// The server refused the login.
fn refused(auth: &Auth) -> Fault {
    match auth {
        Auth::None => Fault::new(
            "the server demands a login (authorization violation)",
            "set shared.auth",
        ),
        auth => Fault::new(
            "the server refuses the login (authorization violation)",
            format!("correct {}, or add the login to the server", key(auth)),
        ),
    }
}

/// The key of the configuration that has the credentials.
fn key(auth: &Auth) -> &'static str {
    match auth {
        Auth::None => "shared.auth",
        Auth::Token(_) => "shared.auth.token",
        Auth::User { .. } => "shared.auth.user and shared.auth.password",
        Auth::CredsFile(_) => "shared.auth.creds-file",
        Auth::NkeyFile(_) => "shared.auth.nkey-file",
    }
}

/// The server takes no headers, in which the ids of records are.
pub(super) fn without_headers() -> Fault {
    Fault::new(
        "the server takes no message headers",
        "remove no_header_support from its configuration, or upgrade it to 2.10",
    )
}

/// The connection was lost.
pub(super) fn lost() -> Fault {
    Fault::new(
        "the connection was lost",
        "check the server and the network; the relay connects again",
    )
}

/// Nothing that was published is acknowledged.
pub(super) fn stalled() -> Fault {
    Fault::new(
        "the server acknowledges nothing of what is published",
        "check JetStream on the server (nats server report jetstream); the relay connects again",
    )
}

/// An error that the server reported on a connection.
pub(super) fn reported(error: &str) -> Fault {
    let lower = error.to_ascii_lowercase();
    let remedy = if lower.contains("permissions violation") {
        "allow this subject to the relay's user"
    } else if lower.contains("authentication expired") || lower.contains("account") {
        "renew the relay's credentials"
    } else {
        "read the log of the server"
    };
    Fault::new(format!("the server reports: {error}"), remedy)
}

/// JetStream cannot be used. `None`: the answer does not say so.
pub(super) fn without_jetstream(error: &AccountError) -> Option<Fault> {
    let is_absent = match error.kind() {
        AccountErrorKind::JetStreamUnavailable => true,
        AccountErrorKind::JetStream(error) => match error.error_code() {
            ErrorCode::JETSTREAM_NOT_ENABLED => true,
            ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                return Some(Fault::new(
                    "JetStream is not enabled for the relay's account",
                    ENABLE_FOR_ACCOUNT,
                ));
            }
            _ => false,
        },
        // The relay needs no right to ask.
        AccountErrorKind::TimedOut | AccountErrorKind::Other => false,
    };
    is_absent.then(|| Fault::new(NO_JETSTREAM, ENABLE_JETSTREAM))
}
