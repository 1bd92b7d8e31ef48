//! Words for the alerts of a server. TLS 1.3 refuses a client's certificate after the handshake.

use rustls::AlertDescription;

use super::TlsWords;
use crate::{ClientContext, MinVersion};

pub(super) const SET_IDENTITY: &str =
    "set cert-file and key-file to a certificate that the server accepts";

const RENEW_OWN: &str = "renew the certificate in cert-file, and check the clocks of both sides";

pub(super) fn words(alert: AlertDescription, context: ClientContext) -> TlsWords {
    match alert {
        AlertDescription::ProtocolVersion => return no_common_version(context),
        AlertDescription::NoApplicationProtocol => return no_common_protocol(),
        AlertDescription::UnrecognisedName => {
            return TlsWords::new(
                "the server does not know the host name",
                "correct the address, or set server-name to a name that the server knows",
            );
        }
        _ => {}
    }
    if context.own_certificate {
        refused(alert)
    } else {
        wanted(alert, context)
    }
    .unwrap_or_else(|| other(alert))
}

/// The server says no to the configured certificate.
fn refused(alert: AlertDescription) -> Option<TlsWords> {
    let (text, remedy) = match alert {
        // OpenSSL sends the second if it knows another authority of the same name.
        AlertDescription::UnknownCA | AlertDescription::DecryptError => (
            "the server does not know the authority that signed the certificate in cert-file",
            "let the server trust the authority of cert-file, with the intermediate certificates in cert-file",
        ),
        AlertDescription::CertificateExpired => (
            "the server says that the certificate in cert-file has expired",
            RENEW_OWN,
        ),
        AlertDescription::CertificateRevoked => (
            "the server says that the certificate in cert-file is revoked",
            RENEW_OWN,
        ),
        AlertDescription::UnsupportedCertificate => (
            "the server says that the certificate in cert-file is of the wrong kind",
            "issue the certificate in cert-file again, with extendedKeyUsage clientAuth",
        ),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => (
            "the server does not accept the certificate in cert-file",
            "look into the server's log: the certificate in cert-file may lack extendedKeyUsage clientAuth",
        ),
        AlertDescription::CertificateRequired => (
            "the server wants a client certificate, and could not use the one in cert-file",
            SET_IDENTITY,
        ),
        _ => return None,
    };
    Some(TlsWords::new(text, remedy))
}

/// The server wants a certificate, and none is configured. Before TLS 1.3 there is no alert of its own for it.
fn wanted(alert: AlertDescription, context: ClientContext) -> Option<TlsWords> {
    let wanted = match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => true,
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::HandshakeFailure
        | AlertDescription::AccessDenied => context.asked,
        _ => false,
    };
    wanted.then(|| {
        TlsWords::new(
            "the server wants a client certificate, and none is configured",
            SET_IDENTITY,
        )
    })
}

fn other(alert: AlertDescription) -> TlsWords {
    match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            TlsWords::new(
                "the server found no cipher or certificate that both sides accept",
                "compare the ciphers and the kind of key of the server with those of TLS 1.2 and 1.3",
            )
        }
        alert => TlsWords::new(
            format!("the server ended TLS with the alert {alert:?}"),
            "look for the reason in the server's log",
        ),
    }
}

pub(super) fn no_common_version(context: ClientContext) -> TlsWords {
    match context.min_version {
        MinVersion::Tls12 => TlsWords::new(
            "the server speaks neither TLS 1.2 nor 1.3",
            "update the server, or put a proxy with TLS 1.2 in front of it",
        ),
        MinVersion::Tls13 => TlsWords::new(
            "the server does not speak TLS 1.3, which min-version asks for",
            "set min-version to \"1.2\", or update the server",
        ),
    }
}

pub(super) fn no_common_protocol() -> TlsWords {
    TlsWords::new(
        "the server speaks no version of HTTP that the relay needs on this port (ALPN)",
        "check that the port is one for HTTP, and for HTTP/2 if it is for gRPC",
    )
}
