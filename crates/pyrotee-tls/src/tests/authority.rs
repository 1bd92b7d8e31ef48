use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

use crate::{
    ClientAuth, ClientTls, ClientTlsSettings, IdentityPem, MinVersion, PemFile, ServerTls,
    ServerTlsSettings, SystemRoots,
};

/// An authority that signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) cert: String,
    pub(super) key: String,
}

/// The public roots, read once.
pub(super) fn system() -> &'static SystemRoots {
    static ROOTS: OnceLock<SystemRoots> = OnceLock::new();
    ROOTS.get_or_init(|| SystemRoots::from_variables(None, None).unwrap())
}

/// The settings of a client that trusts the authorities of a file.
pub(super) fn ca(pem: &str) -> ClientTlsSettings {
    ClientTlsSettings {
        ca: Some(PemFile::new("ca.pem", pem.into())),
        ..ClientTlsSettings::default()
    }
}

/// Sets the years of validity.
pub(super) fn dates(params: &mut CertificateParams, from: i32, to: i32) {
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
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
    pub(super) fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub(super) fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = Self::params(name);
        change(&mut params);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority that this one signs.
    pub(super) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(Self::params(name), key, &self.0).unwrap())
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for servers and clients.
    pub(super) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, |_| {})
    }

    pub(super) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
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
    pub(super) fn self_signed(names: &[&str], is_ca: bool) -> Self {
        Self::self_signed_with(names, is_ca, |_| {})
    }

    pub(super) fn self_signed_with(
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

    pub(super) fn identity(&self) -> IdentityPem {
        IdentityPem {
            cert: PemFile::new("cert.pem", self.cert.clone().into()),
            key: PemFile::new("key.pem", self.key.clone().into()),
        }
    }

    /// The settings of a listener with this certificate.
    pub(super) fn settings(&self) -> ServerTlsSettings {
        ServerTlsSettings {
            identity: self.identity(),
            client_ca: None,
            client_auth: ClientAuth::None,
            min_version: MinVersion::Tls12,
        }
    }

    pub(super) fn server(&self) -> ServerTls {
        ServerTls::build(&self.settings(), &[crate::Alpn::H2, crate::Alpn::Http1]).unwrap()
    }

    /// A listener that asks its clients for a certificate of `authority`.
    pub(super) fn asking(&self, authority: &str, client_auth: ClientAuth) -> ServerTls {
        let settings = ServerTlsSettings {
            client_ca: Some(PemFile::new("clients.pem", authority.into())),
            client_auth,
            ..self.settings()
        };
        ServerTls::build(&settings, &[crate::Alpn::Http1]).unwrap()
    }
}

impl ClientTlsSettings {
    pub(super) fn tls(&self) -> ClientTls {
        ClientTls::build(self, system()).unwrap()
    }

    pub(super) fn showing(mut self, pair: &Pair) -> Self {
        self.identity = Some(pair.identity());
        self
    }
}
