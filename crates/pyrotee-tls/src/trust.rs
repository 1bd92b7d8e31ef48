//! Which certificates of a server are accepted.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;

use crate::roots::authorities;
use crate::{CertificateInfo, ClientTlsSettings, SystemRoots, TlsFault, TlsPart, provider};

/// Which certificates of a server are accepted.
#[derive(Clone)]
pub(crate) enum Trust {
    /// Those that an authority signed, and those of the configured file.
    Authorities {
        webpki: Arc<WebPkiServerVerifier>,
        file: Vec<CertificateDer<'static>>,
    },
    /// This one, whatever its names and dates.
    Exactly {
        leaf: CertificateDer<'static>,
        path: PathBuf,
    },
    /// All.
    Anything,
}

impl Trust {
    /// Whom the settings trust. The file is read even if everything is trusted, so that its faults are found.
    pub(crate) fn of(
        settings: &ClientTlsSettings,
        system: &SystemRoots,
        certificates: &mut Vec<CertificateInfo>,
    ) -> Result<Self, TlsFault> {
        let (store, file) = anchors(settings, system)?;
        if let Some(ca) = &settings.ca {
            certificates.extend(CertificateInfo::list(TlsPart::CaFile, ca, &file));
        }
        if settings.insecure_skip_verify {
            return Ok(Self::Anything);
        }
        let webpki = WebPkiServerVerifier::builder_with_provider(store, provider())
            .build()
            .map_err(|error| TlsFault::new(TlsPart::CaFile, error.to_string()))?;
        Ok(Self::Authorities { webpki, file })
    }
}

/// The trust anchors, and the certificates of the configured file.
pub(crate) fn anchors(
    settings: &ClientTlsSettings,
    system: &SystemRoots,
) -> Result<(Arc<RootCertStore>, Vec<CertificateDer<'static>>), TlsFault> {
    let Some(ca) = &settings.ca else {
        return Ok((Arc::clone(&system.0), Vec::new()));
    };
    let mut store = RootCertStore::empty();
    let file = authorities(TlsPart::CaFile, ca, &mut store)?;
    if settings.system_roots {
        store.extend(system.0.roots.iter().cloned());
    }
    Ok((Arc::new(store), file))
}
