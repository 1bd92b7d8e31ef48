//! Certificates as PEM files in a directory, for the relay and for its peers.

use std::fs;

use pyrotee_tls::testing::{Authority, Pair, dates, for_servers_only};
use tempfile::TempDir;

use super::process::run;
use crate::tools::command;

/// A certificate of [`Files::new`], which a server or a client shows. Its files are `NAME.crt` and `NAME.key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Signed by the authority, for `localhost`.
    Valid,
    /// The same, expired since 2021.
    Expired,
    /// The same, for `other.example`.
    OtherName,
    /// For `localhost`, signed by the other authority.
    Stranger,
    /// For `localhost`, signed by the authority for servers only.
    ForServers,
    /// For `localhost`, signed by itself, and marked as an authority: what `openssl req -x509` makes.
    Pinned,
}

/// The file of [`CA`] and of [`Shown::Pinned`].
pub(super) const CLIENT_CAS: &str = "client-cas.crt";

/// Two authorities and the certificates that they signed.
#[derive(Debug)]
pub(super) struct Files {
    authority: Authority,
    dir: TempDir,
}

/// The file of the authority that peers should trust.
pub(super) const CA: &str = "ca.crt";

/// The file of an authority that signed only [`Shown::Stranger`].
pub(super) const OTHER_CA: &str = "other-ca.crt";

impl Files {
    pub(super) fn new() -> Self {
        let other = Authority::new("other authority");
        let files = Self {
            authority: Authority::new("authority"),
            dir: tempfile::tempdir().expect("a temporary directory can be made"),
        };
        files.write(CA, &files.authority.pem());
        files.write(OTHER_CA, &other.pem());
        files.renew();
        let expired = |params: &mut _| dates(params, 2020, 2021);
        let expired = files.authority.issue_with(&["localhost"], expired);
        files.write_pair(Shown::Expired, &expired);
        files.write_pair(Shown::OtherName, &files.authority.issue(&["other.example"]));
        files.write_pair(Shown::Stranger, &other.issue(&["localhost"]));
        let for_servers = files.authority.issue_with(&["localhost"], for_servers_only);
        files.write_pair(Shown::ForServers, &for_servers);
        files.pin();
        files
    }

    fn pin(&self) {
        let mut openssl = command(
            "openssl",
            &["req", "-x509", "-nodes", "-subj", "/CN=localhost"],
        );
        openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-addext", "subjectAltName=DNS:localhost"]);
        openssl.arg("-keyout").arg(self.key(Shown::Pinned));
        let (output, success) = run(openssl.arg("-out").arg(self.cert(Shown::Pinned)));
        assert!(success, "{output}");
        let pinned = fs::read_to_string(self.cert(Shown::Pinned)).expect("it was written");
        self.write(CLIENT_CAS, &(self.authority.pem() + &pinned));
    }

    /// Replaces [`Shown::Valid`] by a new certificate with a new key: first the certificate, then the key.
    pub(super) fn renew(&self) {
        self.write_pair(Shown::Valid, &self.issue());
    }

    /// A certificate that could be [`Shown::Valid`].
    pub(super) fn issue(&self) -> Pair {
        self.authority.issue(&["localhost", "127.0.0.1"])
    }

    /// The path of a file.
    pub(super) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    pub(super) fn cert(&self, shown: Shown) -> String {
        self.path(&format!("{}.crt", shown.name()))
    }

    pub(super) fn key(&self, shown: Shown) -> String {
        self.path(&format!("{}.key", shown.name()))
    }

    /// The keys of a section of TLS that show this certificate.
    pub(super) fn keys(&self, shown: Shown) -> String {
        let (cert, key) = (self.cert(shown), self.key(shown));
        format!("cert-file: {cert}, key-file: {key}")
    }

    /// The serial number of a certificate in hexadecimal digits, as OpenSSL, nginx and the Go program write it.
    pub(super) fn serial(&self, shown: Shown) -> String {
        serial(&fs::read(self.cert(shown)).expect("it was written"))
    }

    /// Writes a file beside the file `name` and renames it, so that no reader sees half of it.
    pub(super) fn write(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).expect("the directory can be written to");
        fs::rename(&new, self.path(name)).expect("a file can be renamed");
    }

    fn write_pair(&self, shown: Shown, pair: &Pair) {
        self.write(&format!("{}.crt", shown.name()), &pair.cert);
        self.write(&format!("{}.key", shown.name()), &pair.key);
    }
}

impl Shown {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::OtherName => "other-name",
            Self::Stranger => "stranger",
            Self::ForServers => "for-servers",
            Self::Pinned => "pinned",
        }
    }
}

/// The serial number of the first certificate in a PEM text, which may have other text around it.
pub(super) fn serial(pem: &[u8]) -> String {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let path = home.path().join("certificate.pem");
    fs::write(&path, pem).expect("the directory can be written to");
    let mut openssl = command("openssl", &["x509", "-noout", "-serial", "-in"]);
    let (text, _) = run(openssl.arg(path));
    let serial = text.trim().strip_prefix("serial=");
    serial.unwrap_or_else(|| panic!("{text}")).to_owned()
}
