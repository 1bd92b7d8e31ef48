//! The digest by which two values of TLS settings are compared.

use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};

use crate::{IdentityPem, PemFile};

/// SHA-256 of keys and contents. It is never printed.
pub(crate) type Digest = [u8; 32];

/// Collects the parts of a digest. Every part has its length in front, so that two lists of parts never agree
/// by accident.
pub(crate) struct Digester(Sha256);

impl Digester {
    /// A digester of one kind of settings.
    pub(crate) fn new(kind: &str) -> Self {
        Self(Sha256::new()).part(kind.as_bytes())
    }

    pub(crate) fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn optional(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.part(b"some").part(bytes),
            None => self.part(b"none"),
        }
    }

    /// Path and content of a file.
    pub(crate) fn file(self, file: Option<&PemFile>) -> Self {
        let path = file.map(|file| file.path().as_os_str().as_encoded_bytes());
        let content = file.map(|file| file.content().expose_secret().as_bytes());
        self.optional(path).optional(content)
    }

    pub(crate) fn identity(self, identity: Option<&IdentityPem>) -> Self {
        self.file(identity.map(|identity| &identity.cert))
            .file(identity.map(|identity| &identity.key))
    }

    pub(crate) fn finish(self) -> Digest {
        self.0.finalize().into()
    }
}
