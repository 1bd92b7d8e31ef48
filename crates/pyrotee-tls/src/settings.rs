//! What a configuration says about TLS: the contents of files, and keys.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use secrecy::SecretString;

/// TLS towards a server: a target, the upstream, or the admin listener of a relay. The default trusts the
/// roots of the system, shows no certificate, and speaks TLS 1.2 and 1.3.
#[derive(Clone, Debug, Default)]
pub struct ClientTlsSettings {
    /// Authorities to trust instead of the roots of the system.
    pub ca: Option<PemFile>,
    /// Whether to trust the roots of the system beside `ca`. Without `ca` they are trusted anyway.
    pub system_roots: bool,
    /// Certificate and key to show to a server that asks for a certificate.
    pub identity: Option<IdentityPem>,
    /// Name that the server's certificate must have, instead of the host of the address.
    pub server_name: Option<String>,
    /// Lowest version to speak.
    pub min_version: MinVersion,
    /// Whether to accept any certificate. Signatures of the handshake are still checked.
    pub insecure_skip_verify: bool,
}

/// TLS towards the clients of a listener.
#[derive(Clone, Debug)]
pub struct ServerTlsSettings {
    /// Certificate and key of the listener.
    pub identity: IdentityPem,
    /// Authorities that sign the certificates of clients.
    pub client_ca: Option<PemFile>,
    /// Whether clients are asked for a certificate.
    pub client_auth: ClientAuth,
    /// Lowest version to speak.
    pub min_version: MinVersion,
}

/// A certificate, with the chain of its issuers, and its private key.
#[derive(Clone, Debug)]
pub struct IdentityPem {
    /// The certificate, then the intermediate certificates.
    pub cert: PemFile,
    /// The private key of the first certificate.
    pub key: PemFile,
}

/// A file of PEM blocks: its path for faults and labels, and its content.
#[derive(Clone)]
pub struct PemFile {
    path: PathBuf,
    content: SecretString,
}

impl PemFile {
    /// A file as it was read. Bytes that are not UTF-8 are replaced: PEM blocks are ASCII, the text around
    /// them may be anything.
    pub fn new(path: impl Into<PathBuf>, content: Vec<u8>) -> Self {
        let text = String::from_utf8(content)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Self {
            path: path.into(),
            content: SecretString::from(text),
        }
    }

    /// A file whose text was read.
    pub fn from_text(path: impl Into<PathBuf>, content: SecretString) -> Self {
        Self {
            path: path.into(),
            content,
        }
    }

    /// The path, as it is configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the file.
    pub fn content(&self) -> &SecretString {
        &self.content
    }
}

impl fmt::Debug for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PemFile").field(&self.path).finish()
    }
}

/// Lowest version of TLS to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl MinVersion {
    /// The value of the key `min-version`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    pub(crate) fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        static FROM_13: [&SupportedProtocolVersion; 1] = [&TLS13];
        match self {
            Self::Tls12 => &FROM_12,
            Self::Tls13 => &FROM_13,
        }
    }
}

/// Whether a listener asks its clients for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Clients are not asked.
    #[default]
    None,
    /// A client may have no certificate. One that does not verify is refused.
    Request,
    /// A client without a certificate is refused.
    Require,
}

impl ClientAuth {
    /// The value of the key `client-auth`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Request => "request",
            Self::Require => "require",
        }
    }
}

/// A protocol above TLS, which the two sides agree on in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    H2,
}

impl Alpn {
    /// The name of the protocol in the handshake.
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::H2 => b"h2",
        }
    }
}
