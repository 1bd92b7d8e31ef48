//! Why the handshake of a client of the relay failed, as a small closed set for the metric and the log.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use crate::verify::is_authority_as_leaf;
use crate::words::{causes, tls_error};

/// Why a handshake at a listener failed: the `kind` label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HandshakeErrorKind {
    /// The client spoke HTTP, or something else that is not TLS.
    NotTls,
    /// The client does not trust the listener's certificate.
    Untrusted,
    /// The client has no certificate, and one is required.
    NoCertificate,
    /// The client's certificate has expired, or is not valid yet.
    CertificateExpired,
    /// The client's certificate is signed by an authority that is not in `client-ca-file`, or signed by itself and not
    /// there.
    CertificateUnknownCa,
    /// The client's certificate is refused for another reason.
    CertificateInvalid,
    /// The two sides have no version of TLS, no cipher or no protocol in common.
    Incompatible,
    /// The client closed the connection within the handshake.
    Closed,
    /// The handshake took too long.
    Timeout,
    /// Anything else, such as a broken message.
    Other,
}

impl HandshakeErrorKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::NotTls,
        Self::Untrusted,
        Self::NoCertificate,
        Self::CertificateExpired,
        Self::CertificateUnknownCa,
        Self::CertificateInvalid,
        Self::Incompatible,
        Self::Closed,
        Self::Timeout,
        Self::Other,
    ];

    /// The kind of a failed handshake. [`HandshakeErrorKind::Timeout`] comes from errors of this kind only:
    /// who sets the limit names it.
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        if let Some(error) = tls_error(error) {
            return Self::of_tls(error);
        }
        let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::TimedOut) => Self::Timeout,
            Some(
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe,
            ) => Self::Closed,
            _ => Self::Other,
        }
    }

    fn of_tls(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            _ => Self::Other,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::CertificateExpired,
            // A signature that does not fit comes from another authority of the same name, such as an older one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Self::CertificateUnknownCa
            }
            // webpki looks at the mark of an authority first. Self-signed certificates have it by openssl's default.
            CertificateError::Other(error) if is_authority_as_leaf(error) => {
                Self::CertificateUnknownCa
            }
            _ => Self::CertificateInvalid,
        }
    }

    /// The alert that the client sent. A client that does not trust us says so in one of several ways.
    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
            | AlertDescription::UnsupportedCertificate => Self::Untrusted,
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity
            | AlertDescription::NoApplicationProtocol => Self::Incompatible,
            AlertDescription::CloseNotify | AlertDescription::UserCanceled => Self::Closed,
            _ => Self::Other,
        }
    }

    /// The value of the `kind` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::Untrusted => "untrusted",
            Self::NoCertificate => "no_certificate",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateUnknownCa => "certificate_unknown_ca",
            Self::CertificateInvalid => "certificate_invalid",
            Self::Incompatible => "incompatible",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }

    /// What happened, for the log.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotTls => "the client does not speak TLS",
            Self::Untrusted => "the client does not trust the listener's certificate",
            Self::NoCertificate => "the client has no certificate",
            Self::CertificateExpired => "the client's certificate has expired, or is not valid yet",
            Self::CertificateUnknownCa => {
                "the client's certificate is signed by an authority that is not in client-ca-file"
            }
            Self::CertificateInvalid => "the client's certificate is not accepted",
            Self::Incompatible => {
                "client and listener have no version, cipher or protocol in common"
            }
            Self::Closed => "the client closed the connection within the handshake",
            Self::Timeout => "the handshake took too long",
            Self::Other => "the handshake failed",
        }
    }

    /// What to do, for the log.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotTls => "write https:// in the clients' server address",
            Self::Untrusted => {
                "let the clients trust the authority of cert-file, under a name that the certificate has; renew it if it has expired"
            }
            Self::NoCertificate => {
                "give the clients a certificate of an authority in client-ca-file"
            }
            Self::CertificateExpired => "renew the clients' certificates, and check the clock",
            Self::CertificateUnknownCa => {
                "add the authority of the clients' certificates to client-ca-file"
            }
            Self::CertificateInvalid => {
                "issue the clients' certificates again, with extendedKeyUsage clientAuth"
            }
            Self::Incompatible => "check min-version, and which versions of TLS the clients speak",
            Self::Closed | Self::Timeout | Self::Other => {
                "check what connects to the TLS port, for example a health check without TLS"
            }
        }
    }
}
