//! The options of commands for a server with an `https://` address.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use http::uri::Scheme;
use pyrotee_net::Address;
use pyrotee_tls::{ClientTls, ClientTlsSettings, IdentityPem, PemFile, SystemRoots, TlsFault};

use super::UsageError;

/// Most bytes of a file, as in the configuration.
const LARGEST: u64 = 1024 * 1024;

/// Options for a server with an `https://` address.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TlsArgs {
    /// For https: authorities to trust instead of those of the system (PEM)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// For https: certificate to show to a server that asks for one (PEM)
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,

    /// For https: private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

impl TlsArgs {
    /// TLS for the server at `address`; `None` for an `http://` address.
    ///
    /// # Errors
    /// A file cannot be used, or an option is given for an `http://` address.
    pub(super) fn of_address(&self, address: &Address) -> anyhow::Result<Option<ClientTls>> {
        if *address.scheme() == Scheme::HTTPS {
            return self.verified().map(Some);
        }
        if self.is_given() {
            let text = format!(
                "--ca-file, --cert-file and --key-file are for an address with https://, and this is {address}"
            );
            return Err(UsageError(text).into());
        }
        Ok(None)
    }

    /// Whether an option is given.
    pub(super) fn is_given(&self) -> bool {
        self.ca_file.is_some() || self.cert_file.is_some()
    }

    /// TLS that accepts exactly `certificate`, unless `--ca-file` is given.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(super) fn pinned(&self, certificate: &PemFile) -> anyhow::Result<ClientTls> {
        if self.ca_file.is_some() {
            return self.verified();
        }
        ClientTls::pinned(certificate, self.identity()?.as_ref()).map_err(|faults| misused(&faults))
    }

    /// TLS that verifies the server's certificate by the authorities.
    fn verified(&self) -> anyhow::Result<ClientTls> {
        let settings = ClientTlsSettings {
            ca: self.ca_file.as_deref().map(read).transpose()?,
            identity: self.identity()?,
            ..ClientTlsSettings::default()
        };
        ClientTls::build(&settings, &SystemRoots::load()?).map_err(|faults| misused(&faults))
    }

    fn identity(&self) -> anyhow::Result<Option<IdentityPem>> {
        let (Some(cert), Some(key)) = (&self.cert_file, &self.key_file) else {
            return Ok(None);
        };
        let (cert, key) = (read(cert)?, read(key)?);
        Ok(Some(IdentityPem { cert, key }))
    }
}

/// Faults of the options, which have the names of the keys of the configuration.
fn misused(faults: &[TlsFault]) -> anyhow::Error {
    let texts: Vec<_> = faults.iter().map(|fault| format!("--{fault}")).collect();
    UsageError(texts.join("; ")).into()
}

fn read(path: &Path) -> anyhow::Result<PemFile> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        .with_context(|| format!("failed to read {}", path.display()))?;
    Ok(PemFile::new(path, bytes))
}
