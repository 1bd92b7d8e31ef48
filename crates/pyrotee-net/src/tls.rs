//! The certificates that https connections trust.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// TLS settings of all clients: TLS 1.2 and 1.3; root certificates from Mozilla's list (an image from scratch
/// has no certificate store) and from the system's store, if there is one (`SSL_CERT_FILE` and
/// `SSL_CERT_DIR` are honoured).
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) config: ClientConfig,
}

/// Setting up TLS failed.
#[derive(Debug, thiserror::Error)]
#[error("set up TLS")]
pub struct TlsError(#[from] rustls::Error);

impl Tls {
    /// Reads the root certificates. A certificate of the system that cannot be used is skipped and logged.
    ///
    /// # Errors
    ///
    /// If the cryptography library does not support the protocol versions.
    pub fn system() -> Result<Self, TlsError> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let native = rustls_native_certs::load_native_certs();
        for error in native.errors {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "skipped a system root"
            );
        }
        let (added, ignored) = roots.add_parsable_certificates(native.certs);
        tracing::debug!(added, ignored, "read the roots of the system");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config })
    }
}
