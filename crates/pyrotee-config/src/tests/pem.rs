//! PEM files made for a test.

use std::fs;

use pyrotee_tls::testing::{self, dates};
use tempfile::TempDir;

/// Dates of a certificate: years.
pub(super) type Years = (i32, i32);

pub(super) const VALID: Years = (2020, 2100);

/// A directory with an authority (`ca.crt`), and a certificate with its key (`tls.crt`, `tls.key`).
pub(super) struct Pem {
    dir: TempDir,
}

/// A certificate that an authority signed, and its key, in PEM.
pub(super) struct Pair {
    pub(super) authority: String,
    pub(super) cert: String,
    pub(super) key: String,
}

impl Pair {
    pub(super) fn new(years: Years) -> Self {
        let (from, to) = years;
        let authority = testing::Authority::with("authority", |params| dates(params, from, to));
        let leaf = authority.issue_with(&["localhost"], |params| dates(params, from, to));
        Self {
            authority: authority.pem(),
            cert: leaf.cert,
            key: leaf.key,
        }
    }
}

impl Pem {
    pub(super) fn new() -> Self {
        let files = Self {
            dir: TempDir::new().unwrap(),
        };
        files.put(&Pair::new(VALID));
        files
    }

    pub(super) fn put(&self, pair: &Pair) {
        self.write("ca.crt", &pair.authority);
        self.write("tls.crt", &pair.cert);
        self.write("tls.key", &pair.key);
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.dir.path().join(name), content).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.dir.path().join(name)).unwrap();
    }

    pub(super) fn dir(&self) -> String {
        self.dir.path().display().to_string()
    }

    /// `text` with the directory in the place of `DIR`.
    pub(super) fn expanded(&self, text: &str) -> String {
        text.replace("DIR", &self.dir())
    }
}
