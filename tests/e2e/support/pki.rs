//! Authorities and certificates made for a test, as PEM files.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream, pki_types::ServerName};
use tempfile::TempDir;

/// An authority with a directory of files: its own certificate is `ca.crt`.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let authority = Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate"),
            dir: tempfile::tempdir().expect("a temporary directory can be made"),
        };
        authority.write("ca.crt", &authority.issuer.pem());
        authority
    }

    /// A certificate for `name`, and its key, as PEM.
    pub(crate) fn signed(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = CertificateParams::new([name.to_owned()])
            .and_then(|params| params.signed_by(&key, &self.issuer))
            .expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a certificate for `name` and its key as `FILE.crt` and `FILE.key`.
    pub(crate) fn issue(&self, file: &str, name: &str) {
        let (certificate, key) = self.signed(name);
        self.write(&format!("{file}.crt"), &certificate);
        self.write(&format!("{file}.key"), &key);
    }

    /// Gets a page over https from a server with a certificate of this authority for `name`: head and body.
    pub(crate) fn get(&self, server: SocketAddr, name: &str, path: &str) -> String {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("it was checked");
        let mut socket = TcpStream::connect(server).expect("the relay listens");
        let mut stream = Stream::new(&mut connection, &mut socket);
        let request = format!("GET {path} HTTP/1.0\r\nHost: relay\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .expect("the relay reads");
        let mut response = String::new();
        stream
            .read_to_string(&mut response)
            .expect("the relay closes the connection");
        response
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(crate) fn text(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }

    pub(crate) fn write(&self, file: &str, content: &str) {
        fs::write(self.path(file), content).expect("the file can be written");
    }

    pub(crate) fn copy(&self, file: &str, to: &Path) {
        fs::copy(self.path(file), to).expect("the file can be copied");
    }
}
