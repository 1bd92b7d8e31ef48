//! The certificates of a trial: an authority, and one certificate for candidate and sinks.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Names of the files in the directory of the trial.
pub(crate) const CA: &str = "ca.pem";
pub(crate) const CERTIFICATE: &str = "certificate.pem";
pub(crate) const KEY: &str = "key.pem";

/// The name in the certificate. It resolves nowhere: nginx does not compare IP addresses with certificates.
pub(crate) const NAME: &str = "pyroscope.test";

/// Writes an authority, a certificate for [`NAME`] and its key into `folder`. The keys are on P-256.
///
/// # Errors
///
/// If a file cannot be written.
pub(crate) fn write(folder: &Path) -> anyhow::Result<()> {
    // Subjects that differ: OpenSSL takes a certificate with its authority's subject for a self-signed one.
    let mut authority = CertificateParams::new(Vec::new())?;
    let name = &mut authority.distinguished_name;
    name.push(DnType::CommonName, "authority of the bench");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &authority)?;
    fs::write(folder.join(CA), authority.pem())?;
    fs::write(folder.join(CERTIFICATE), certificate.pem())?;
    Ok(fs::write(folder.join(KEY), key.serialize_pem())?)
}
