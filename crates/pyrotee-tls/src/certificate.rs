//! The certificates of a configuration and their dates.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use crate::{PemFile, TlsPart, Validity, validity};

/// One certificate of a configured file: for warnings and for the gauges of expiry. rustls accepts an
/// authority that has expired, and a relay can start with a certificate that has expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    path: PathBuf,
    part: TlsPart,
    position: usize,
    validity: Option<Validity>,
}

impl CertificateInfo {
    pub(crate) fn list(
        part: TlsPart,
        file: &PemFile,
        certificates: &[CertificateDer<'_>],
    ) -> Vec<Self> {
        let info = |(before, der): (usize, &CertificateDer<'_>)| Self {
            path: file.path().to_owned(),
            part,
            position: before + 1,
            validity: validity(der),
        };
        certificates.iter().enumerate().map(info).collect()
    }

    /// Path of the file, as it is configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that names the file: `ca-file`, `cert-file` or `client-ca-file`.
    pub fn part(&self) -> TlsPart {
        self.part
    }

    /// Position in the file, from 1. In a `cert-file`, 1 is the certificate that the relay shows as its own.
    pub fn position(&self) -> usize {
        self.position
    }

    /// When the certificate starts to be valid. `None` if its dates cannot be read.
    pub fn not_before(&self) -> Option<SystemTime> {
        self.validity.map(|validity| validity.not_before)
    }

    /// When the certificate expires. `None` if its dates cannot be read.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.validity.map(|validity| validity.not_after)
    }

    /// Whether the certificate has expired at `now`.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.not_after().is_some_and(|not_after| not_after < now)
    }

    /// Whether the certificate is not valid yet at `now`.
    pub fn is_not_valid_yet(&self, now: SystemTime) -> bool {
        self.not_before().is_some_and(|not_before| not_before > now)
    }
}
