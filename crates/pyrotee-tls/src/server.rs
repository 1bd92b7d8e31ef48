//! TLS of a listener, as one value.

use std::fmt;
use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, ServerConfig};

use crate::digest::{Digest, Digester};
use crate::identity::identity;
use crate::roots::authorities;
use crate::verify::ClientVerifier;
use crate::{
    Alpn, CertificateInfo, ClientAuth, PemFile, ServerTlsSettings, TlsFault, TlsPart, provider,
};

/// TLS of a listener: immutable, and cheap to clone. Two values are equal if keys, paths and contents of files
/// are. A listener takes the value in force at each accepted connection.
#[derive(Clone)]
pub struct ServerTls(Arc<Inner>);

struct Inner {
    config: Arc<ServerConfig>,
    client_auth: ClientAuth,
    certificates: Vec<CertificateInfo>,
    digest: Digest,
}

impl ServerTls {
    /// TLS as it is configured, offering `alpn` in this order of preference.
    ///
    /// # Errors
    ///
    /// All faults of the files and keys.
    pub fn build(settings: &ServerTlsSettings, alpn: &[Alpn]) -> Result<Self, Vec<TlsFault>> {
        let provider = provider();
        let own = identity(&settings.identity, &provider);
        let clients = clients(settings.client_ca.as_ref(), settings.client_auth);
        let ((own, mut certificates), (verifier, authorities)) = match (own, clients) {
            (Ok(own), Ok(clients)) => (own, clients),
            (own, clients) => {
                let mut faults = own.err().unwrap_or_default();
                faults.extend(clients.err());
                return Err(faults);
            }
        };
        certificates.extend(authorities);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(settings.min_version.versions())
            .map_err(|error| vec![TlsFault::new(TlsPart::MinVersion, error.to_string())])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.alpn_protocols = alpn.iter().map(|alpn| alpn.as_bytes().to_vec()).collect();
        let digest = Digester::new("server")
            .identity(Some(&settings.identity))
            .file(settings.client_ca.as_ref())
            .part(settings.client_auth.as_str().as_bytes())
            .part(settings.min_version.as_str().as_bytes())
            .part(&config.alpn_protocols.concat())
            .finish();
        Ok(Self(Arc::new(Inner {
            config: Arc::new(config),
            client_auth: settings.client_auth,
            certificates,
            digest,
        })))
    }

    /// The configuration of a connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.config)
    }

    /// Whether the handshake asks clients for a certificate.
    pub fn client_auth(&self) -> ClientAuth {
        self.0.client_auth
    }

    /// The certificates of `cert-file` and `client-ca-file`.
    pub fn certificates(&self) -> &[CertificateInfo] {
        &self.0.certificates
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for ServerTls {}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("certificates", &self.0.certificates)
            .field("client_auth", &self.0.client_auth)
            .finish_non_exhaustive()
    }
}

type Clients = (Arc<dyn ClientCertVerifier>, Vec<CertificateInfo>);

/// How clients are verified.
fn clients(ca: Option<&PemFile>, auth: ClientAuth) -> Result<Clients, TlsFault> {
    let ca = match (ca, auth) {
        (None, ClientAuth::None) => return Ok((Arc::new(NoClientAuth), Vec::new())),
        (None, _) => {
            let text = format!(
                "{} needs client-ca-file: set client-ca-file to the authority that signs the clients' certificates",
                auth.as_str()
            );
            return Err(TlsFault::new(TlsPart::ClientAuth, text));
        }
        (Some(_), ClientAuth::None) => {
            return Err(TlsFault::new(
                TlsPart::ClientAuth,
                "none does not use client-ca-file: remove client-ca-file, or write request or require",
            ));
        }
        (Some(ca), ClientAuth::Request | ClientAuth::Require) => ca,
    };
    let mut store = RootCertStore::empty();
    let file = authorities(TlsPart::ClientCaFile, ca, &mut store)?;
    let info = CertificateInfo::list(TlsPart::ClientCaFile, ca, &file);
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider());
    let builder = match auth {
        ClientAuth::Require => builder,
        _ => builder.allow_unauthenticated(),
    };
    let webpki = builder
        .build()
        .map_err(|error| TlsFault::of_file(TlsPart::ClientCaFile, ca, error))?;
    Ok((Arc::new(ClientVerifier { webpki, file }), info))
}
