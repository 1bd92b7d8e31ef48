//! The configurations of both ends of the bench: clients and sinks.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::TLS13,
};

use super::{CA, CERTIFICATE, KEY};

/// Clients that trust the authority in `folder`, and resume no session: every handshake is a full one.
///
/// # Errors
///
/// If the file of the authority cannot be read.
pub(crate) fn client(folder: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(folder.join(CA));
    roots.add(authority.context("cannot read the authority")?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Servers with the certificate in `folder`.
///
/// # Errors
///
/// If the files of the certificate and its key cannot be read.
pub(crate) fn server(folder: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from_pem_file(folder.join(CERTIFICATE));
    let certificate = certificate.context("cannot read the certificate")?;
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY)).context("cannot read the key")?;
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}

/// The cryptography of both ends, with one cipher suite and one key exchange.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    }
}
