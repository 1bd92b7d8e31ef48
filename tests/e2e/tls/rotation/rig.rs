//! A relay that speaks TLS on every side, with a directory of files for each section of its configuration.

use std::{fs, path::PathBuf};

use pyrotee_tls::testing::{Authority, Pair};
use rustls::ALL_VERSIONS;
use serde_json::Value;
use tempfile::TempDir;

use super::damage::Damage;
use crate::support::{
    Builder, Front, Metrics, Relay, Request, SOON, TlsClient, Upstream, eventually, poll, tls,
};

/// The sections of TLS, each with a directory of its own.
pub(in crate::tls) const SECTIONS: [&str; 4] = [
    "listen-tls",
    "admin-tls",
    "upstream.tls",
    "remote-write.targets.central.tls",
];

/// A relay that speaks TLS on every side.
pub(in crate::tls) struct Rotating {
    pub(in crate::tls) relay: Relay,
    pub(in crate::tls) authority: Authority,
    home: TempDir,
    upstream: Upstream,
    pub(super) target: Upstream,
    /// In front of the upstream and of the target. They require a client certificate.
    pub(super) fronts: [Front; 2],
    pub(in crate::tls) client: TlsClient,
}

impl Rotating {
    pub(super) fn new() -> Self {
        Self::with(Relay::builder(), Upstream::ok(), &Pair::clone)
    }

    /// A relay with further settings and this target. `change` may add to the text of each pair.
    pub(in crate::tls) fn with(
        builder: Builder,
        target: Upstream,
        change: &dyn Fn(&Pair) -> Pair,
    ) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let authority = Authority::new("the authority of a test");
        let ca = authority.pem();
        for section in SECTIONS {
            let directory = home.path().join(section);
            fs::create_dir(&directory).expect("a directory can be made");
            put(&directory, &change(&authority.issue(&["localhost"])));
            fs::write(directory.join("ca.crt"), &ca).expect("a file can be written");
        }
        let upstream = Upstream::ok();
        let front = |behind: &Upstream| {
            let pair = authority.issue(&["localhost"]);
            let config = tls::server_with(&pair, Some(&ca), ALL_VERSIONS);
            Front::tls(behind.address(), config)
        };
        let fronts = [front(&upstream), front(&target)];
        let keys = |section: &str, ca: &str| {
            let directory = home.path().join(section).display().to_string();
            let file = |key: &str, name: &str| format!("{key}: {directory}/{name}");
            let files = [
                file(ca, "ca.crt"),
                file("cert-file", "tls.crt"),
                file("key-file", "tls.key"),
            ];
            files.join(", ")
        };
        let listener = |section| {
            let keys = keys(section, "client-ca-file");
            format!("{section}: {{ {keys}, client-auth: request }}\n")
        };
        let [of_upstream, of_target] = [SECTIONS[2], SECTIONS[3]]
            .map(|section| format!("tls: {{ {} }}", keys(section, "ca-file")));
        let relay = builder
            .yaml(&(listener(SECTIONS[0]) + &listener(SECTIONS[1]) + "reload: { interval: 50ms }"))
            .upstream_address(&fronts[0].url("localhost"))
            .upstream_option(&of_upstream)
            .target_address("central", &fronts[1].url("localhost"), &[&of_target])
            .spawn();
        let client = TlsClient::new(tls::client(&ca, None, ALL_VERSIONS));
        Self {
            relay,
            authority,
            home,
            upstream,
            target,
            fronts,
            client,
        }
    }

    pub(in crate::tls) fn directory(&self, section: &str) -> PathBuf {
        self.home.path().join(section)
    }

    /// Uploads a profile over new connections, and waits until upstream and target have it.
    pub(super) fn upload(&self) {
        let nth = self.target.arrivals().len();
        let profile = Request::profile(&format!("app{nth}"), b"profile");
        let response = self.client.send(self.relay.addr(), &profile);
        assert_eq!(response.expect("the relay is trusted").status(), 200);
        self.target.wait_for(nth + 1, SOON);
        assert_eq!(self.upstream.arrivals().len(), nth + 1);
    }

    /// The certificate that each section shows on a new connection.
    pub(super) fn shown(&self) -> [Vec<u8>; 4] {
        self.upload();
        let listener = |address| {
            let connection = self.client.connect(address).expect("the relay is trusted");
            connection.server_certificate()
        };
        let last = |front: &Front| front.client_certificates().pop().expect("a handshake");
        [
            listener(self.relay.addr()),
            listener(self.relay.admin()),
            last(&self.fronts[0]),
            last(&self.fronts[1]),
        ]
    }

    pub(in crate::tls) fn page(&self, path: &str) -> Vec<u8> {
        let page = self
            .client
            .send(self.relay.admin(), &Request::get(path))
            .expect("the relay is trusted");
        page.body.data
    }

    /// Paths and texts of the files that keep their last good content, as the status has them.
    pub(in crate::tls) fn stale(&self) -> Vec<String> {
        let status: Value = serde_json::from_slice(&self.page("/api/v1/status")).expect("JSON");
        let stale = status["config"]["stale_files"].as_array().expect("a list");
        stale
            .iter()
            .map(|file| format!("{} {}", file["path"], file["text"]))
            .collect()
    }

    /// Replaces the files of each section by a damaged new pair.
    pub(in crate::tls) fn damage(&self, damage: &Damage, new: &[Pair; 4]) {
        for (section, pair) in SECTIONS.iter().zip(new) {
            for (name, content) in (damage.files)(pair, &self.authority.pem()) {
                let path = self.directory(section).join(name);
                match content {
                    Some(content) => fs::write(path, content).expect("a file can be written"),
                    None => fs::remove_file(path).expect("a file can be removed"),
                }
            }
        }
    }

    /// Waits until the status tells the damage of each section, and returns what it tells.
    pub(in crate::tls) fn wait_damage(&self, damage: &Damage) -> Vec<String> {
        let told = |stale: &[String], section: &str| {
            let of = format!("(all files of `{section}` keep their last good content)");
            let mut told = stale.iter();
            told.any(|file| file.contains(damage.says) && file.contains(&of))
        };
        let stale = poll(SOON, || {
            let stale = self.stale();
            let all = SECTIONS.iter().all(|section| told(&stale, section));
            all.then_some(stale)
        });
        stale.unwrap_or_else(|| panic!("{}: {:?}", damage.word, self.stale()))
    }

    /// Writes whole files, and waits until they are in force.
    pub(in crate::tls) fn mend(&self, new: &[Pair; 4]) {
        for (section, pair) in SECTIONS.iter().zip(new) {
            let directory = self.directory(section);
            put(&directory, pair);
            fs::write(directory.join("ca.crt"), self.authority.pem()).expect("a file");
        }
        eventually(SOON, "the end of the damage", || self.stale().is_empty());
    }

    /// How many files keep their last good content, as the gauge says.
    pub(super) fn stale_gauge(&self) -> f64 {
        let gauge = self
            .metrics()
            .value("pyroscope_relay_config_stale_files", &[]);
        gauge.expect("the gauge exists from the start")
    }

    /// When the certificate of each section expires, as the gauges say, in Unix time.
    pub(super) fn expiries(&self) -> [f64; 4] {
        let metrics = self.metrics();
        ["listen", "admin", "upstream", "target"].map(|role| {
            let name = "pyroscope_relay_tls_certificate_expiry_timestamp_seconds";
            let expiry = metrics.value(name, &[("role", role)]);
            expiry.expect("each section has a certificate")
        })
    }

    fn metrics(&self) -> Metrics {
        let page = String::from_utf8(self.page("/metrics")).expect("metrics are text");
        Metrics::parse(&page)
    }
}

/// Writes a pair into the directory of a section.
pub(in crate::tls) fn put(directory: &std::path::Path, pair: &Pair) {
    let write = |name: &str, text: &str| fs::write(directory.join(name), text);
    write("tls.crt", &pair.cert)
        .and_then(|()| write("tls.key", &pair.key))
        .expect("a file can be written");
}
