//! Warnings of TLS: certificates that expire, and verification that is turned off.

use std::time::{Duration, SystemTime};

use pyrotee_tls::{CertificateInfo, ClientTls, date};

use crate::settings::Config;

/// A certificate with less time left is warned of. Authorities that renew by themselves do so earlier.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// The warnings of a configuration at the time `now`. A text has no remaining time, so that a reload does not repeat it.
pub(crate) fn of(config: &Config, now: SystemTime) -> Vec<String> {
    let mut found = config.certificate_warnings(now);
    for (section, tls) in clients(config) {
        of_verification(&section, tls, &mut found);
    }
    found
}

impl Config {
    /// One line for each certificate that has expired, expires within 14 days or is not valid yet, at the time `now`, with
    /// its key, its file and its date.
    #[must_use]
    pub fn certificate_warnings(&self, now: SystemTime) -> Vec<String> {
        let mut found = Vec::new();
        let listeners = [
            ("listen-tls", &self.listen_tls),
            ("admin-tls", &self.admin_tls),
        ];
        for (section, tls) in listeners {
            if let Some(listener) = tls {
                of_certificates(section, listener.tls.certificates(), now, &mut found);
            }
        }
        for (section, tls) in clients(self) {
            of_certificates(&section, tls.certificates(), now, &mut found);
        }
        found
    }
}

/// Each section of TLS towards a server, and its value.
fn clients(config: &Config) -> impl Iterator<Item = (String, &ClientTls)> {
    let servers = config.servers();
    let servers = servers.map(|(server, tls)| (server.section(), &tls.tls));
    let jobs = config.tls_of_jobs();
    servers.chain(jobs.map(|it| (it.section(), it.tls)))
}

fn of_verification(section: &str, tls: &ClientTls, found: &mut Vec<String>) {
    if !tls.skips_verification() {
        return;
    }
    found.push(format!(
        "{section}.insecure-skip-verify: any certificate is accepted, so whoever is on the way can read and change \
         what is sent; write ca-file with the authority of the server instead"
    ));
    if tls.settings().is_some_and(|settings| settings.ca.is_some()) {
        found.push(format!(
            "{section}.ca-file: means nothing with insecure-skip-verify"
        ));
    }
}

/// At most two warnings for each file: of the certificate that ends first, and of one that is not valid yet.
fn of_certificates(
    section: &str,
    certificates: &[CertificateInfo],
    now: SystemTime,
    found: &mut Vec<String>,
) {
    for file in certificates.chunk_by(|one, other| one.part() == other.part()) {
        let ends = |info: &CertificateInfo| info.not_after();
        let first = file.iter().filter(|info| ends(info).is_some());
        if let Some(info) = first.min_by_key(|info| ends(info))
            && let Some(end) = ends(info)
            && end < now + SOON
        {
            let verb = match info.is_expired(now) {
                true => "expired on",
                false => "expires soon, on",
            };
            warn(
                section,
                info,
                &format!("{verb} {}; renew it", date(end)),
                found,
            );
        }
        if let Some(info) = file.iter().find(|info| info.is_not_valid_yet(now))
            && let Some(start) = info.not_before()
        {
            let start = date(start);
            let text = format!("is not valid before {start}; check the clock of this machine");
            warn(section, info, &text, found);
        }
    }
}

fn warn(section: &str, info: &CertificateInfo, text: &str, found: &mut Vec<String>) {
    let (key, path) = (info.part().as_str(), info.path().display());
    let position = info.position();
    found.push(format!(
        "{section}.{key}: certificate {position} in `{path}` {text}"
    ));
}
