use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, OtherError};

use super::*;

fn contexts() -> Vec<ClientContext> {
    let mut contexts = Vec::new();
    for bits in 0..16 {
        contexts.push(ClientContext {
            own_certificate: bits & 1 > 0,
            asked: bits & 2 > 0,
            min_version: match bits & 4 > 0 {
                true => MinVersion::Tls13,
                false => MinVersion::Tls12,
            },
            ca_file: bits & 8 > 0,
        });
    }
    contexts
}

fn certificate_errors() -> Vec<CertificateError> {
    let time = UnixTime::since_unix_epoch(Duration::MAX);
    vec![
        CertificateError::BadEncoding,
        CertificateError::BadSignature,
        CertificateError::Expired,
        CertificateError::ExpiredContext {
            time,
            not_after: time,
        },
        CertificateError::NotValidYet,
        CertificateError::NotValidYetContext {
            time,
            not_before: time,
        },
        CertificateError::Revoked,
        CertificateError::UnhandledCriticalExtension,
        CertificateError::UnknownIssuer,
        CertificateError::NotValidForName,
        CertificateError::InvalidPurpose,
        CertificateError::ApplicationVerificationFailure,
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: Vec::new(),
            supported_algorithms: Vec::new(),
        },
        CertificateError::Other(OtherError(Arc::new(webpki::Error::CaUsedAsEndEntity))),
        CertificateError::Other(OtherError(Arc::new(webpki::Error::NameConstraintViolation))),
    ]
}

fn errors() -> Vec<Error> {
    let alerts = (0..=u8::MAX).map(|code| Error::AlertReceived(AlertDescription::from(code)));
    let certificates = certificate_errors()
        .into_iter()
        .map(Error::InvalidCertificate);
    let mut errors: Vec<_> = alerts.chain(certificates).collect();
    errors.extend([
        Error::InvalidMessage(InvalidMessage::InvalidContentType),
        Error::InvalidMessage(InvalidMessage::MessageTooLarge),
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
        Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol),
        Error::PeerMisbehaved(PeerMisbehaved::IllegalTlsInnerPlaintext),
        Error::NoApplicationProtocol,
        Error::NoCertificatesPresented,
        Error::DecryptError,
        Error::PeerSentOversizedRecord,
        Error::General("anything".into()),
    ]);
    errors
}

#[test]
fn every_error_has_one_line_and_a_short_remedy() {
    for error in errors() {
        for context in contexts() {
            let words = client_words(&error, context).unwrap();
            assert!(
                !words.text.is_empty() && !words.text.contains('\n'),
                "{error:?}"
            );
            assert!(words.remedy.len() <= 120, "{}", words.remedy);
            assert!(!words.remedy.ends_with('.') && !words.text.ends_with('.'));
        }
    }
}

/// The page for people names each remedy, of servers and of clients.
#[test]
fn the_page_about_tls_has_every_remedy() {
    let page = include_str!("../../../../docs/tls.md");
    for error in errors() {
        for context in contexts() {
            let words = client_words(&error, context).unwrap();
            // Errors that no server causes say no more than this.
            let is_named = page.contains(words.remedy) || words.remedy == "check the server";
            assert!(is_named, "{words:?}");
        }
    }
    for words in [
        TlsWords::answered_without_tls(),
        TlsWords::spoke_tls(),
        TlsWords::no_http2(),
        TlsWords::closed_in_handshake(ClientContext::default()),
    ] {
        assert!(page.contains(words.remedy) && page.contains(&*words.text));
    }
    for kind in crate::HandshakeErrorKind::ALL {
        let row = format!("`{}`", kind.as_str());
        assert!(page.contains(&row) && page.contains(kind.remedy()), "{row}");
    }
}

#[test]
fn an_alert_about_a_certificate_depends_on_what_was_shown_and_asked() {
    let text = |alert, own_certificate, asked| {
        let context = ClientContext {
            own_certificate,
            asked,
            ..ClientContext::default()
        };
        client_words(&Error::AlertReceived(alert), context)
            .unwrap()
            .text
    };
    let wanted = "the server wants a client certificate, and none is configured";
    // OpenSSL and Go refuse a missing certificate with these in TLS 1.2.
    for alert in [
        AlertDescription::HandshakeFailure,
        AlertDescription::BadCertificate,
    ] {
        assert_eq!(text(alert, false, true), wanted);
        assert_ne!(text(alert, false, false), wanted);
        assert_ne!(text(alert, true, true), wanted);
    }
    assert_eq!(
        text(AlertDescription::CertificateRequired, false, false),
        wanted
    );
    for alert in [AlertDescription::UnknownCA, AlertDescription::DecryptError] {
        assert!(text(alert, true, true).contains("does not know the authority"));
    }
    assert_eq!(
        text(AlertDescription::InternalError, true, true),
        "the server ended TLS with the alert InternalError"
    );
}

#[test]
fn names_of_a_certificate_are_printable() {
    let names = [
        "DnsName(\"a\u{1b}[31m\u{202e}b\")".to_owned(),
        "IpAddress(::1)".to_owned(),
        "DirectoryName".to_owned(),
        format!("DnsName(\"{}\")", "x".repeat(1_000)),
    ];
    let error = CertificateError::NotValidForNameContext {
        expected: ServerName::try_from("c.example").unwrap(),
        presented: names.to_vec(),
    };
    let words = client_words(&Error::InvalidCertificate(error), ClientContext::default());
    let text = words.unwrap().text.into_owned();
    assert!(
        text.contains("for a?[31m?b, ::1, DirectoryName, xxx"),
        "{text}"
    );
    assert!(text.len() < 400);
}

#[test]
fn an_end_within_the_handshake_has_words_and_other_errors_have_none() {
    let end = io::Error::from(io::ErrorKind::UnexpectedEof);
    let bare = ClientContext::default();
    assert_eq!(client_words(&end, bare), None);
    assert_eq!(
        handshake_words(&end, bare),
        TlsWords::closed_in_handshake(bare)
    );
    let asked = ClientContext {
        asked: true,
        ..bare
    };
    assert_eq!(
        handshake_words(&end, asked),
        TlsWords::closed_after_asking()
    );
    let refused = io::Error::other("odd");
    assert_eq!(
        handshake_words(&refused, bare).text,
        "the TLS handshake failed: odd"
    );
    // Words in a chain are found again.
    let wrapped = io::Error::other(TlsWords::no_http2());
    assert_eq!(client_words(&wrapped, bare), Some(TlsWords::no_http2()));
}
