//! Who is trusted: the verifiers of rustls, with two additions. A certificate that stands in the configured
//! file itself is accepted as the peer's own, also if it is marked as an authority (openssl's default for
//! self-signed certificates, which webpki refuses). And the dates of what a server shows are noted.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use crate::trust::Trust;
use crate::{Observer, validity};

/// The server showed another certificate than the pinned one.
#[derive(Debug, thiserror::Error)]
#[error("the server shows another certificate than {}", path.display())]
pub(crate) struct NotPinned {
    pub(crate) path: PathBuf,
}

/// Verifies servers. The signatures of the handshake are checked whatever is trusted.
#[derive(Clone)]
pub(crate) struct ServerVerifier {
    pub(crate) trust: Trust,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
    pub(crate) observer: Observer,
    /// The name that certificates are checked for; `None`: the name of the connection.
    pub(crate) name: Option<ServerName<'static>>,
}

impl fmt::Debug for ServerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerVerifier").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.name.as_ref().unwrap_or(name);
        self.observer.saw(leaf);
        match &self.trust {
            Trust::Anything => Ok(ServerCertVerified::assertion()),
            Trust::Exactly { leaf: pinned, .. } if pinned == leaf => {
                Ok(ServerCertVerified::assertion())
            }
            Trust::Exactly { path, .. } => {
                let error = NotPinned { path: path.clone() };
                Err(CertificateError::Other(OtherError(Arc::new(error))).into())
            }
            Trust::Authorities { webpki, file } => {
                let result =
                    webpki.verify_server_cert(leaf, intermediates, name, ocsp_response, now);
                match result {
                    Err(error) if is_listed(file, leaf, &error) => {
                        verify_dates(leaf, now)?;
                        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
                        Ok(ServerCertVerified::assertion())
                    }
                    result => result,
                }
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Verifies clients: those that an authority of the file signed, and those of the file itself.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    pub(crate) webpki: Arc<dyn ClientCertVerifier>,
    pub(crate) file: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.webpki.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.webpki.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.webpki.verify_client_cert(leaf, intermediates, now) {
            Err(error) if is_listed(&self.file, leaf, &error) => {
                verify_dates(leaf, now)?;
                Ok(ClientCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether webpki found the error that the peer's certificate is marked as an authority.
pub(crate) fn is_authority_as_leaf(error: &OtherError) -> bool {
    error.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// Whether `error` only says that nobody signed the certificate as the peer's own, and the certificate is
/// byte for byte in the configured file.
fn is_listed(file: &[CertificateDer<'_>], leaf: &CertificateDer<'_>, error: &Error) -> bool {
    let unsigned = match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(other)) => is_authority_as_leaf(other),
        _ => false,
    };
    unsigned && file.contains(leaf)
}

fn verify_dates(leaf: &[u8], now: UnixTime) -> Result<(), CertificateError> {
    let dates = validity(leaf).ok_or(CertificateError::BadEncoding)?;
    let (not_before, not_after) = (unix(dates.not_before), unix(dates.not_after));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext {
            time: now,
            not_after,
        });
    }
    Ok(())
}

/// A time before 1970 becomes 1970.
fn unix(time: SystemTime) -> UnixTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::since_unix_epoch(since.unwrap_or(Duration::ZERO))
}
