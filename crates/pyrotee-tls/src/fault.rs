//! A fault of one file or key.

use std::fmt;

use crate::PemFile;

/// The key of a `tls`, `listen-tls` or `admin-tls` section that a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsPart {
    /// `ca-file`.
    CaFile,
    /// `cert-file`.
    CertFile,
    /// `key-file`.
    KeyFile,
    /// `server-name`.
    ServerName,
    /// `client-ca-file`.
    ClientCaFile,
    /// `client-auth`.
    ClientAuth,
    /// `min-version`.
    MinVersion,
}

impl TlsPart {
    /// The key in its section.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CaFile => "ca-file",
            Self::CertFile => "cert-file",
            Self::KeyFile => "key-file",
            Self::ServerName => "server-name",
            Self::ClientCaFile => "client-ca-file",
            Self::ClientAuth => "client-auth",
            Self::MinVersion => "min-version",
        }
    }
}

/// Why TLS cannot be set up as configured: the key, and one line with the file and the remedy. The line
/// contains nothing of the file's content. `Display` is `key: text`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", part.as_str())]
pub struct TlsFault {
    /// The key.
    pub part: TlsPart,
    /// What is wrong, and what to do.
    pub text: String,
}

impl TlsFault {
    pub(crate) fn new(part: TlsPart, text: impl Into<String>) -> Self {
        Self {
            part,
            text: text.into(),
        }
    }

    /// A fault of a file: its path, then `text`.
    pub(crate) fn of_file(part: TlsPart, file: &PemFile, text: impl fmt::Display) -> Self {
        Self::new(part, format!("{} {text}", file.path().display()))
    }
}
