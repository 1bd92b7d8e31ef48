//! The authorities that connections trust: Mozilla's list, the system's store, or a configured file.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::{CertificateResult, load_certs_from_paths};

use crate::{PemFile, TlsFault, TlsPart, pem};

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// The public authorities: Mozilla's list (an image from scratch has no certificate store) and the system's
/// store, if there is one. Loaded once per process; cheap to clone.
#[derive(Clone, Debug)]
pub struct SystemRoots(pub(crate) Arc<RootCertStore>);

/// An environment variable names no usable certificates. The text has the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} names {}, {problem}: correct or unset {variable}", path.display())]
pub struct SystemRootsError {
    variable: &'static str,
    path: PathBuf,
    problem: String,
}

impl SystemRoots {
    /// Reads the system's store; `SSL_CERT_FILE` and `SSL_CERT_DIR` replace its place, an empty variable
    /// counts as unset. A certificate that cannot be used is skipped and logged.
    ///
    /// # Errors
    ///
    /// If a variable names no file or folder that holds a certificate.
    pub fn load() -> Result<Self, SystemRootsError> {
        Self::from_variables(env::var_os(FILE), env::var_os(FOLDERS))
    }

    pub(crate) fn from_variables(
        file: Option<OsString>,
        folders: Option<OsString>,
    ) -> Result<Self, SystemRootsError> {
        let file = file.filter(|value| !value.is_empty());
        let folders = folders.filter(|value| !value.is_empty());
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        if file.is_none() && folders.is_none() {
            let places = openssl_probe::probe();
            add(&mut roots, places.cert_file.as_deref(), &places.cert_dir);
        }
        if let Some(file) = file {
            named(&mut roots, FILE, Some(file.as_ref()), &[], &file)?;
        }
        if let Some(folders) = folders {
            let list: Vec<_> = env::split_paths(&folders)
                .filter(|path| !path.as_os_str().is_empty())
                .collect();
            named(&mut roots, FOLDERS, None, &list, &folders)?;
        }
        tracing::debug!(roots = roots.len(), "read the roots of the system");
        Ok(Self(Arc::new(roots)))
    }
}

/// Adds the certificates that a variable names.
fn named(
    roots: &mut RootCertStore,
    variable: &'static str,
    file: Option<&Path>,
    folders: &[PathBuf],
    value: &OsString,
) -> Result<(), SystemRootsError> {
    let (added, problem) = add(roots, file, folders);
    if added > 0 {
        return Ok(());
    }
    Err(SystemRootsError {
        variable,
        path: value.into(),
        problem: problem.unwrap_or_else(|| "which holds no certificate (PEM)".to_owned()),
    })
}

/// Adds what can be used. Returns the number of added certificates, and the first problem.
fn add(
    roots: &mut RootCertStore,
    file: Option<&Path>,
    folders: &[PathBuf],
) -> (usize, Option<String>) {
    // With the first folder, so that a file that is linked there is read once.
    let mut file = file;
    let mut found: Vec<CertificateResult> = folders
        .iter()
        .map(|folder| load_certs_from_paths(file.take(), Some(folder)))
        .collect();
    if file.is_some() {
        found.push(load_certs_from_paths(file, None));
    }
    let mut problem = None;
    let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
    for result in found {
        certificates.extend(result.certs);
        for error in &result.errors {
            tracing::debug!(
                error = error as &dyn std::error::Error,
                "skipped a root of the system"
            );
            problem.get_or_insert_with(|| format!("which cannot be read ({error})"));
        }
    }
    certificates.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
    certificates.dedup();
    let (added, ignored) = roots.add_parsable_certificates(certificates);
    if ignored > 0 {
        tracing::debug!(ignored, "skipped roots of the system that cannot be parsed");
    }
    (added, problem)
}

/// The authorities of a configured file: its certificates, and the trust anchors made of them.
pub(crate) fn authorities(
    part: TlsPart,
    file: &PemFile,
    store: &mut RootCertStore,
) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let certificates = pem::certificates(part, file)?;
    for (before, certificate) in certificates.iter().enumerate() {
        if store.add(certificate.clone()).is_err() {
            let text = format!(
                "holds something else than an X.509 certificate in block {}: remove the block or copy the file again",
                before + 1
            );
            return Err(TlsFault::of_file(part, file, text));
        }
    }
    Ok(certificates)
}
