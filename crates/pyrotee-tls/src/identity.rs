//! A certificate and its private key, checked against each other.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, InconsistentKeys};

use crate::{CertificateInfo, IdentityPem, PemFile, TlsFault, TlsPart, pem};

/// Reads a certificate with its chain, and the key. The dates are not checked: an expired certificate is a
/// warning, since the peer decides.
pub(crate) fn identity(
    files: &IdentityPem,
    provider: &CryptoProvider,
) -> Result<(Arc<CertifiedKey>, Vec<CertificateInfo>), Vec<TlsFault>> {
    let chain = pem::certificates(TlsPart::CertFile, &files.cert)
        .and_then(|chain| parsed(&files.cert, chain));
    let key = pem::private_key(TlsPart::KeyFile, &files.key).and_then(|key| {
        let loaded = provider.key_provider.load_private_key(key);
        // The error's text is left out, it says less.
        loaded.map_err(|_| {
            TlsFault::of_file(
                TlsPart::KeyFile,
                &files.key,
                "holds a private key that cannot be used: take RSA of 2048 to 4096 bits, ECDSA P-256 or P-384, or Ed25519",
            )
        })
    });
    let (chain, key) = match (chain, key) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
    };
    let info = CertificateInfo::list(TlsPart::CertFile, &files.cert, &chain);
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok((Arc::new(certified), info))
        }
        Err(_) => Err(vec![mismatch(files, &certified)]),
    }
}

/// Checks that every certificate can be parsed.
fn parsed(
    file: &PemFile,
    chain: Vec<CertificateDer<'static>>,
) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let broken = chain
        .iter()
        .position(|der| ParsedCertificate::try_from(der).is_err());
    match broken {
        None => Ok(chain),
        Some(before) => {
            let text = format!(
                "holds something else than an X.509 v3 certificate in block {}: issue the certificate again",
                before + 1
            );
            Err(TlsFault::of_file(TlsPart::CertFile, file, text))
        }
    }
}

/// The key is not that of the first certificate: perhaps that of a later one.
fn mismatch(files: &IdentityPem, certified: &CertifiedKey) -> TlsFault {
    let own = certified
        .cert
        .iter()
        .position(|der| is_key_of(der, certified.key.as_ref()));
    match own {
        Some(before) => TlsFault::of_file(
            TlsPart::CertFile,
            &files.cert,
            format!(
                "holds the chain in the wrong order: certificate {} belongs to the key, put it first",
                before + 1
            ),
        ),
        None => TlsFault::of_file(
            TlsPart::KeyFile,
            &files.key,
            format!(
                "holds the key of another certificate than {}: name the two files of one pair",
                files.cert.path().display()
            ),
        ),
    }
}

fn is_key_of(der: &CertificateDer<'_>, key: &dyn SigningKey) -> bool {
    let (Ok(parsed), Some(public)) = (ParsedCertificate::try_from(der), key.public_key()) else {
        return false;
    };
    parsed.subject_public_key_info() == public
}
