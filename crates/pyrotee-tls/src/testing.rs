//! Certificates for the tests of this crate and of the crates that use it.

#![expect(clippy::unwrap_used, reason = "a panic is a failing test")]

use std::fmt;
use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

use crate::{
    Alpn, ClientAuth, ClientTls, ClientTlsSettings, IdentityPem, MinVersion, PemFile, ServerTls,
    ServerTlsSettings, SystemRoots,
};

/// An authority that signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// Without the key.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pair").field(&self.cert).finish()
    }
}

/// The public roots, read once.
pub fn system() -> &'static SystemRoots {
    static ROOTS: OnceLock<SystemRoots> = OnceLock::new();
    ROOTS.get_or_init(|| SystemRoots::from_variables(None, None).unwrap())
}

/// The settings of a client that trusts the authorities of a file.
pub fn ca(pem: &str) -> ClientTlsSettings {
    ClientTlsSettings {
        ca: Some(PemFile::new("ca.pem", pem.into())),
        ..ClientTlsSettings::default()
    }
}

/// Sets the years of validity.
pub fn dates(params: &mut CertificateParams, from: i32, to: i32) {
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
}

/// Makes a certificate one that clients may not show.
pub fn for_servers_only(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

fn params(names: &[&str], common_name: &str) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = Self::params(name);
        change(&mut params);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority that this one signs.
    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(Self::params(name), key, &self.0).unwrap())
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for servers and clients.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = params(names, "leaf");
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Pair {
            cert: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Pair {
    /// A certificate that nobody else signed. openssl marks such a certificate as an authority.
    pub fn self_signed(names: &[&str], is_ca: bool) -> Self {
        Self::self_signed_with(names, is_ca, |_| {})
    }

    pub fn self_signed_with(
        names: &[&str],
        is_ca: bool,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = params(names, "self");
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Self {
            cert: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn identity(&self) -> IdentityPem {
        IdentityPem {
            cert: PemFile::new("cert.pem", self.cert.clone().into()),
            key: PemFile::new("key.pem", self.key.clone().into()),
        }
    }

    /// The settings of a listener with this certificate.
    pub fn settings(&self) -> ServerTlsSettings {
        ServerTlsSettings {
            identity: self.identity(),
            client_ca: None,
            client_auth: ClientAuth::None,
            min_version: MinVersion::Tls12,
        }
    }

    pub fn server(&self) -> ServerTls {
        ServerTls::build(&self.settings(), &[Alpn::H2, Alpn::Http1]).unwrap()
    }

    /// A listener that asks its clients for a certificate of `authority`.
    pub fn asking(&self, authority: &str, client_auth: ClientAuth) -> ServerTls {
        let settings = ServerTlsSettings {
            client_ca: Some(PemFile::new("clients.pem", authority.into())),
            client_auth,
            ..self.settings()
        };
        ServerTls::build(&settings, &[Alpn::Http1]).unwrap()
    }
}

impl ClientTlsSettings {
    /// TLS with these settings.
    pub fn tls(&self) -> ClientTls {
        ClientTls::build(self, system()).unwrap()
    }

    /// The settings with a certificate of the client.
    pub fn showing(mut self, pair: &Pair) -> Self {
        self.identity = Some(pair.identity());
        self
    }
}
