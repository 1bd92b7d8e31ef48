//! TLS of clients and servers of the tests, by rustls alone: none of the relay's own rules for certificates is used.

use std::sync::Arc;

use pyrotee_tls::testing::Pair;
use rustls::{
    ALL_VERSIONS, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// The versions of TLS that a side speaks.
pub(crate) type Versions = &'static [&'static SupportedProtocolVersion];

pub(crate) const TLS12: Versions = &[&rustls::version::TLS12];
pub(crate) const TLS13: Versions = &[&rustls::version::TLS13];

/// A server that shows `pair` and asks for nothing.
pub(crate) fn server(pair: &Pair) -> ServerConfig {
    server_with(pair, None, ALL_VERSIONS)
}

/// A server that shows `pair`, and requires a client certificate of `client_ca` if there is one. It speaks HTTP/2 and
/// HTTP/1.1.
pub(crate) fn server_with(
    pair: &Pair,
    client_ca: Option<&str>,
    versions: Versions,
) -> ServerConfig {
    let verifier = match client_ca {
        Some(ca) => WebPkiClientVerifier::builder_with_provider(roots(ca).into(), provider())
            .build()
            .expect("there is a root"),
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("ring has them")
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(&pair.cert), key(pair))
        .expect("the key belongs to the certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A client that trusts `ca`, and shows `own` if the server asks for a certificate.
pub(crate) fn client(ca: &str, own: Option<&Pair>, versions: Versions) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("ring has them")
        .with_root_certificates(roots(ca));
    match own {
        Some(pair) => builder
            .with_client_auth_cert(chain(&pair.cert), key(pair))
            .expect("the key belongs to the certificate"),
        None => builder.with_no_client_auth(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .expect("the PEM was made by the test")
}

fn key(pair: &Pair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("the PEM was made by the test")
}

fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem) {
        roots.add(certificate).expect("a certificate");
    }
    roots
}
