//! Mounted Secrets of relays, and the authorities of all their rotations.

use std::path::Path;

use pyrotee_tls::testing::{Authority, Pair};
use rustls::{ALL_VERSIONS, ClientConfig};

use crate::support::{Mount, nightly, tls, tls_client::der};

/// Authorities of a relay's file: a certificate is trusted two rotations before and after its own one, since relays look
/// at their files at different moments.
const TRUSTED: usize = 5;

pub(super) fn rotations() -> usize {
    if nightly() { 60 } else { 8 }
}

/// Authorities for all rotations.
pub(super) struct Authorities(Vec<Authority>);

impl Authorities {
    pub(super) fn new() -> Self {
        let all = 0..rotations() + TRUSTED;
        Self(
            all.map(|nth| Authority::new(&format!("authority {nth}")))
                .collect(),
        )
    }

    /// The authorities that a relay trusts after a rotation.
    pub(super) fn trusted(&self, rotation: usize) -> String {
        let trusted = self.0.iter().skip(rotation).take(TRUSTED);
        trusted.map(Authority::pem).collect()
    }

    pub(super) fn issue(&self, rotation: usize) -> Pair {
        self.0[rotation + TRUSTED / 2].issue(&["localhost"])
    }

    /// A client that trusts every authority and shares its sessions among its connections.
    pub(super) fn client(&self, own: Option<&Pair>) -> ClientConfig {
        let all: String = self.0.iter().map(Authority::pem).collect();
        tls::client(&all, own, ALL_VERSIONS)
    }
}

/// The mounted Secret of a relay.
pub(super) struct Secret {
    mount: Mount,
    /// The pair of each rotation.
    pub(super) pairs: Vec<Pair>,
}

impl Secret {
    pub(super) fn new(directory: &Path, authorities: &Authorities) -> Self {
        std::fs::create_dir(directory).expect("a directory can be made");
        let pairs: Vec<_> = (0..=rotations()).map(|it| authorities.issue(it)).collect();
        let files = files(&authorities.trusted(0), &pairs[0]);
        let mount = Mount::new(
            directory,
            &files.each_ref().map(|(name, text)| (*name, &**text)),
        );
        Self { mount, pairs }
    }

    pub(super) fn rotate(&mut self, rotation: usize, authorities: &Authorities) {
        let files = files(&authorities.trusted(rotation), &self.pairs[rotation]);
        let files = files.each_ref().map(|(name, text)| (*name, &**text));
        self.mount.swap(&files);
    }

    /// The keys of a section, with the authorities as `ca`.
    pub(super) fn keys(&self, ca: &str) -> String {
        let path = |name| self.mount.path(name).display().to_string();
        format!(
            "{{ {ca}: {}, cert-file: {}, key-file: {} }}",
            path("ca.crt"),
            path("tls.crt"),
            path("tls.key")
        )
    }

    /// The rotation of a certificate that was shown.
    pub(super) fn rotation_of(&self, shown: &[u8]) -> usize {
        let found = self.pairs.iter().position(|pair| der(&pair.cert) == shown);
        found.expect("a certificate of this relay")
    }
}

fn files(ca: &str, pair: &Pair) -> [(&'static str, String); 3] {
    [
        ("ca.crt", ca.to_owned()),
        ("tls.crt", pair.cert.clone()),
        ("tls.key", pair.key.clone()),
    ]
}
