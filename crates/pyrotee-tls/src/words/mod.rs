//! Words for errors of TLS towards a server: one line with a remedy. The types of rustls and webpki decide,
//! never their texts.

mod alert;
mod certificate;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use rustls::{Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

use crate::MinVersion;

type Cause = dyn StdError + 'static;

/// What happened and what to do. `Display` is the text. As an error it may stand in a chain of causes, where
/// [`client_words`] finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TlsWords {
    /// What happened, in one line, lower case, without a full stop.
    pub text: Cow<'static, str>,
    /// One imperative sentence without a full stop.
    pub remedy: &'static str,
}

/// What the words for an error depend on, beside the error: see [`ClientTls::context`](crate::ClientTls::context).
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientContext {
    /// Whether a certificate of our own is configured.
    pub own_certificate: bool,
    /// Whether the server has asked for a certificate.
    pub asked: bool,
    /// Lowest version of TLS that we speak.
    pub min_version: MinVersion,
    /// Whether a `ca-file` is configured.
    pub ca_file: bool,
}

impl TlsWords {
    pub(crate) fn new(text: impl Into<Cow<'static, str>>, remedy: &'static str) -> Self {
        Self {
            text: text.into(),
            remedy,
        }
    }

    /// An `https://` address leads to a server that answered without TLS.
    pub fn answered_without_tls() -> Self {
        Self::new(
            "the server answered without TLS",
            "write http:// in the address, or name the server's TLS port",
        )
    }

    /// An `http://` address leads to a server that speaks TLS: its first byte was that of a TLS record (0x15).
    pub fn spoke_tls() -> Self {
        Self::new(
            "the server speaks TLS on this port",
            "write https:// in the address",
        )
    }

    /// The server closed the connection within the handshake.
    pub fn closed_in_handshake(context: ClientContext) -> Self {
        if context.asked && !context.own_certificate {
            return Self::closed_after_asking();
        }
        Self::new(
            "the server closed the connection during the TLS handshake",
            "check that the port speaks TLS, and that a balancer in front of it knows the host name",
        )
    }

    /// The server asked for a certificate, none is configured, and the connection ended without a response.
    pub fn closed_after_asking() -> Self {
        Self::new(
            "the server asked for a client certificate, none is configured, and it closed the connection without a response",
            alert::SET_IDENTITY,
        )
    }

    /// The handshake succeeded, but the server did not choose HTTP/2, which gRPC needs.
    pub fn no_http2() -> Self {
        Self::new(
            "the server speaks no HTTP/2 over TLS",
            "enable HTTP/2 on the server, or on the proxy in front of it",
        )
    }
}

/// Words for an error on a connection to a server, during the handshake or after it. `None` if the chain of
/// causes has no error of TLS.
pub fn client_words(error: &Cause, context: ClientContext) -> Option<TlsWords> {
    causes(error).find_map(|cause| {
        let words = cause.downcast_ref::<TlsWords>().cloned();
        words.or_else(|| Some(tls_words(cause.downcast_ref()?, context)))
    })
}

/// Words for any error that ended a handshake with a server.
pub fn handshake_words(error: &Cause, context: ClientContext) -> TlsWords {
    if let Some(words) = client_words(error, context) {
        return words;
    }
    let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe,
        ) => TlsWords::closed_in_handshake(context),
        _ => {
            let cause = causes(error).last().unwrap_or(error);
            TlsWords::new(
                format!("the TLS handshake failed: {cause}"),
                "check the server and the network",
            )
        }
    }
}

fn tls_words(error: &Error, context: ClientContext) -> TlsWords {
    match error {
        Error::InvalidCertificate(error) => certificate::words(error, context),
        Error::AlertReceived(alert) => alert::words(*alert, context),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            TlsWords::answered_without_tls()
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => alert::no_common_version(context),
        Error::PeerIncompatible(reason) => TlsWords::new(
            format!("the server lacks something that TLS needs here: {reason:?}"),
            "update the server, or allow more ciphers and versions of TLS there",
        ),
        Error::NoApplicationProtocol
        | Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
            alert::no_common_protocol()
        }
        Error::InvalidMessage(_)
        | Error::PeerMisbehaved(_)
        | Error::DecryptError
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord => TlsWords::new(
            format!("the server sent something that is not valid TLS: {error}"),
            "check the server, and what stands between it and the relay",
        ),
        Error::NoCertificatesPresented => TlsWords::new(
            "the server shows no certificate",
            "configure a certificate on the server",
        ),
        _ => TlsWords::new(format!("TLS failed: {error}"), "check the server"),
    }
}

/// The first error of rustls in a chain of causes.
pub fn tls_error(error: &Cause) -> Option<&Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// An error and its causes, from the outermost on. `io::Error::source()` skips the error that the `io::Error` wraps; `get_ref` returns
/// the wrapped error.
pub fn causes<'a>(error: &'a Cause) -> impl Iterator<Item = &'a Cause> {
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

#[cfg(test)]
mod tests;
