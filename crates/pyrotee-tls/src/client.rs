//! TLS of a client, as one value.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;

use crate::digest::{Digest, Digester};
use crate::identity::identity;
use crate::observer::OwnCertificate;
use crate::trust::Trust;
use crate::verify::ServerVerifier;
use crate::{
    Alpn, CertificateInfo, ClientContext, ClientTlsSettings, IdentityPem, MinVersion, Observer,
    PemFile, SystemRoots, TlsFault, TlsPart, TlsWords, pem, provider,
};

/// TLS towards one server: immutable, and cheap to clone. Two values are equal if keys, paths and contents of
/// files are; a connection of one value must not be used after another value is in force. Every value has
/// sessions and an [`Observer`] of its own, so build one for each server.
#[derive(Clone)]
pub struct ClientTls(Arc<Inner>);

struct Inner {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    verifier: Arc<ServerVerifier>,
    server_name: Option<ServerName<'static>>,
    certificates: Vec<CertificateInfo>,
    context: ClientContext,
    observer: Observer,
    skips_verification: bool,
    settings: Option<ClientTlsSettings>,
    digest: Digest,
}

/// What the two configurations, one for each protocol, are made of.
struct Parts {
    trust: Trust,
    identity: Option<Arc<CertifiedKey>>,
    server_name: Option<ServerName<'static>>,
    certificates: Vec<CertificateInfo>,
    min_version: MinVersion,
    has_ca_file: bool,
    settings: Option<ClientTlsSettings>,
    digest: Digest,
}

impl ClientTls {
    /// TLS as it is configured.
    ///
    /// # Errors
    ///
    /// All faults of the files and keys.
    pub fn build(
        settings: &ClientTlsSettings,
        system: &SystemRoots,
    ) -> Result<Self, Vec<TlsFault>> {
        let mut faults = Vec::new();
        let mut certificates = Vec::new();
        let trust = Trust::of(settings, system, &mut certificates).unwrap_or_else(|fault| {
            faults.push(fault);
            Trust::Anything
        });
        let identity = own(settings.identity.as_ref(), &mut certificates, &mut faults);
        let server_name = settings.server_name.as_deref().and_then(|name| {
            let parsed = parse_name(name);
            if parsed.is_none() {
                let text = format!("{name:?} is no DNS name and no IP address: write a name of the server's certificate");
                faults.push(TlsFault::new(TlsPart::ServerName, text));
            }
            parsed
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let digest = Digester::new("client")
            .file(settings.ca.as_ref())
            .part(&[settings.system_roots.into()])
            .identity(settings.identity.as_ref())
            .optional(settings.server_name.as_deref().map(str::as_bytes))
            .part(settings.min_version.as_str().as_bytes())
            .part(&[settings.insecure_skip_verify.into()])
            .finish();
        Self::assemble(Parts {
            trust,
            identity,
            server_name,
            certificates,
            min_version: settings.min_version,
            has_ca_file: settings.ca.is_some(),
            settings: Some(settings.clone()),
            digest,
        })
    }

    /// TLS without any configuration: the roots of the system.
    ///
    /// # Errors
    ///
    /// If the cryptography library cannot be set up.
    pub fn system(system: &SystemRoots) -> Result<Self, TlsFault> {
        Self::build(&ClientTlsSettings::default(), system).map_err(|faults| {
            let first = faults.into_iter().next();
            first.unwrap_or_else(|| TlsFault::new(TlsPart::MinVersion, "TLS cannot be set up"))
        })
    }

    /// TLS that accepts exactly the first certificate of `certificate`, whatever its names and dates: for
    /// commands, which read the certificate of the admin listener from the relay's own configuration.
    ///
    /// # Errors
    ///
    /// All faults of the files.
    pub fn pinned(
        certificate: &PemFile,
        own_identity: Option<&IdentityPem>,
    ) -> Result<Self, Vec<TlsFault>> {
        let mut faults = Vec::new();
        let mut certificates = Vec::new();
        let identity = own(own_identity, &mut certificates, &mut faults);
        let leaf = pem::certificates(TlsPart::CertFile, certificate)
            .map(|list| list.into_iter().next())
            .unwrap_or_else(|fault| {
                faults.push(fault);
                None
            });
        let (Some(leaf), true) = (leaf, faults.is_empty()) else {
            return Err(faults);
        };
        let path = certificate.path().to_owned();
        let digest = Digester::new("pinned")
            .file(Some(certificate))
            .identity(own_identity)
            .finish();
        Self::assemble(Parts {
            trust: Trust::Exactly { leaf, path },
            identity,
            server_name: None,
            certificates,
            min_version: MinVersion::default(),
            has_ca_file: false,
            settings: None,
            digest,
        })
    }

    fn assemble(parts: Parts) -> Result<Self, Vec<TlsFault>> {
        let provider = provider();
        let observer = Observer::new();
        let context = ClientContext {
            own_certificate: parts.identity.is_some(),
            asked: false,
            min_version: parts.min_version,
            ca_file: parts.has_ca_file,
        };
        let skips_verification = matches!(parts.trust, Trust::Anything);
        let verifier = Arc::new(ServerVerifier {
            trust: parts.trust,
            algorithms: provider.signature_verification_algorithms,
            observer: observer.clone(),
            name: None,
        });
        let own = Arc::new(OwnCertificate {
            identity: parts.identity,
            observer: observer.clone(),
        });
        let config = |alpn: Alpn| {
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(parts.min_version.versions())
                .map_err(|error| vec![TlsFault::new(TlsPart::MinVersion, error.to_string())])?
                .dangerous()
                .with_custom_certificate_verifier(verifier.clone())
                .with_client_cert_resolver(own.clone());
            config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
            Ok::<_, Vec<TlsFault>>(Arc::new(config))
        };
        Ok(Self(Arc::new(Inner {
            http1: config(Alpn::Http1)?,
            http2: config(Alpn::H2)?,
            verifier,
            server_name: parts.server_name,
            certificates: parts.certificates,
            context,
            observer,
            skips_verification,
            settings: parts.settings,
            digest: parts.digest,
        })))
    }

    /// The configuration of a connection that offers one protocol.
    pub fn config(&self, alpn: Alpn) -> Arc<ClientConfig> {
        let config = match alpn {
            Alpn::Http1 => &self.0.http1,
            Alpn::H2 => &self.0.http2,
        };
        Arc::clone(config)
    }

    /// The configuration for a library that is given an IP address of `host` instead of the name. The certificate is
    /// checked for the name all the same. The handshake does not tell the server the name, and no session is resumed.
    ///
    /// # Errors
    ///
    /// If the host can stand in no certificate.
    pub fn config_for_address(&self, host: &str) -> Result<ClientConfig, TlsWords> {
        let verifier = ServerVerifier {
            name: Some(self.server_name(host)?),
            ..ServerVerifier::clone(&self.0.verifier)
        };
        let mut config = ClientConfig::clone(&self.0.http1);
        config.alpn_protocols.clear();
        // Sessions are kept by the name that the library has, and a resumed one is not verified.
        config.resumption = Resumption::disabled();
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(verifier));
        Ok(config)
    }

    /// The name that the certificate of the server at `host` must have: `server-name`, or the host. An IPv6
    /// address may stand in brackets.
    ///
    /// # Errors
    ///
    /// If the host can stand in no certificate.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsWords> {
        let configured = self.0.server_name.clone();
        configured
            .or_else(|| parse_name(host))
            .ok_or_else(|| TlsWords {
                text: Cow::Owned(format!(
                    "{host:?} is no name that a certificate can be checked for"
                )),
                remedy: "set server-name to a name of the server's certificate",
            })
    }

    /// What the handshakes of this value have shown.
    pub fn observer(&self) -> &Observer {
        &self.0.observer
    }

    /// What decides about the words for an error, at this moment.
    pub fn context(&self) -> ClientContext {
        ClientContext {
            asked: self.0.observer.server_asks_for_certificate(),
            ..self.0.context
        }
    }

    /// The certificates of `ca-file` and `cert-file`.
    pub fn certificates(&self) -> &[CertificateInfo] {
        &self.0.certificates
    }

    /// The settings of which [`ClientTls::build`] made this value; `None` for a pinned certificate.
    pub fn settings(&self) -> Option<&ClientTlsSettings> {
        self.0.settings.as_ref()
    }

    /// Whether any certificate is accepted.
    pub fn skips_verification(&self) -> bool {
        self.0.skips_verification
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for ClientTls {}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("certificates", &self.0.certificates)
            .field("server_name", &self.0.server_name)
            .field("skips_verification", &self.0.skips_verification)
            .finish_non_exhaustive()
    }
}

fn own(
    files: Option<&IdentityPem>,
    certificates: &mut Vec<CertificateInfo>,
    faults: &mut Vec<TlsFault>,
) -> Option<Arc<CertifiedKey>> {
    match identity(files?, &provider()) {
        Ok((identity, info)) => {
            certificates.extend(info);
            Some(identity)
        }
        Err(found) => {
            faults.extend(found);
            None
        }
    }
}

fn parse_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    ServerName::try_from(bare.to_owned()).ok()
}
