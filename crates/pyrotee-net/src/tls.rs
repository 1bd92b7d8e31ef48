//! The certificates that https connections trust.

use rustls::ClientConfig;

use pyrotee_tls::{Alpn, ClientTls, SystemRoots, SystemRootsError, TlsFault};

/// TLS settings of all clients: TLS 1.2 and 1.3, with the roots of the system.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) config: ClientConfig,
}

/// Setting up TLS failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The roots of the system cannot be read.
    #[error("read the roots of the system")]
    Roots(#[from] SystemRootsError),
    /// The cryptography library cannot be set up.
    #[error("set up TLS")]
    Setup(#[source] TlsFault),
}

impl Tls {
    /// Reads the root certificates.
    ///
    /// # Errors
    ///
    /// If `SSL_CERT_FILE` or `SSL_CERT_DIR` names no certificates.
    pub fn system() -> Result<Self, TlsError> {
        let roots = SystemRoots::load()?;
        let tls = ClientTls::system(&roots).map_err(TlsError::Setup)?;
        let mut config = (*tls.config(Alpn::Http1)).clone();
        // hyper-rustls sets the protocols itself, and panics if there are any.
        config.alpn_protocols.clear();
        Ok(Self { config })
    }
}
