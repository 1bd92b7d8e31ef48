//! Authorities and certificates made for a test, as PEM files.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use pyrotee_tls::testing::{self, Pair};
use rustls::{ALL_VERSIONS, ClientConnection, Stream, pki_types::ServerName};
use tempfile::TempDir;

use super::tls;

/// An authority with a directory of files: its own certificate is `ca.crt`.
pub(crate) struct Authority {
    issuer: testing::Authority,
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self {
            issuer: testing::Authority::new("the authority of a test"),
            dir: tempfile::tempdir().expect("a temporary directory can be made"),
        };
        authority.write("ca.crt", &authority.issuer.pem());
        authority
    }

    /// The authority without its files, for certificates that are special.
    pub(crate) fn issuer(&self) -> &testing::Authority {
        &self.issuer
    }

    /// A certificate for `name`, and its key.
    pub(crate) fn pair(&self, name: &str) -> Pair {
        self.issuer.issue(&[name])
    }

    /// A certificate for `name`, and its key, as PEM.
    pub(crate) fn signed(&self, name: &str) -> (String, String) {
        let Pair { cert, key } = self.pair(name);
        (cert, key)
    }

    /// Writes a certificate for `name` and its key as `FILE.crt` and `FILE.key`.
    pub(crate) fn issue(&self, file: &str, name: &str) {
        self.put(file, &self.pair(name));
    }

    /// Writes a certificate and its key as `FILE.crt` and `FILE.key`.
    pub(crate) fn put(&self, file: &str, pair: &Pair) {
        self.write(&format!("{file}.crt"), &pair.cert);
        self.write(&format!("{file}.key"), &pair.key);
    }

    /// Gets a page over https from a server with a certificate of this authority for `name`: head and body.
    pub(crate) fn get(&self, server: SocketAddr, name: &str, path: &str) -> String {
        let config = tls::client(&self.issuer.pem(), None, ALL_VERSIONS);
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
