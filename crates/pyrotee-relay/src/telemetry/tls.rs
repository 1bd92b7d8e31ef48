//! The series of TLS: certificates of the configuration, verification that is off, and handshakes that failed.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::fmt::Write as _;
use std::sync::Arc;

use metrics::{Counter, counter};
use pyrotee_admin::AdminTls;
use pyrotee_config::Config;
use pyrotee_proxy::UpstreamTlsHandle;
use pyrotee_proxy::metrics::HANDSHAKE_ERRORS;

use super::exposition::escaped;
use super::target::since_epoch;
use crate::reload::ReloadState;

const EXPIRY: &str = "pyroscope_relay_tls_certificate_expiry_timestamp_seconds";
const UNVERIFIED: &str = "pyroscope_relay_tls_insecure_skip_verify";
const UPSTREAM_EXPIRY: &str = "pyroscope_relay_upstream_certificate_expiry_timestamp_seconds";

/// The series of TLS.
#[derive(Debug)]
pub(super) struct TlsSeries {
    state: Arc<ReloadState>,
    upstream: Option<UpstreamTlsHandle>,
    /// The admin listener, and a counter for each kind of failed handshake.
    admin: Option<(AdminTls, Vec<Counter>)>,
}

impl TlsSeries {
    /// The series of the configuration in force, of the upstream and of the admin listener.
    pub(super) fn new(
        state: Arc<ReloadState>,
        upstream: Option<UpstreamTlsHandle>,
        admin: Option<AdminTls>,
    ) -> Self {
        let counters = |admin: AdminTls| {
            let kinds = admin.failed_handshakes();
            let counters = kinds.map(|(kind, _)| {
                counter!(HANDSHAKE_ERRORS, "listener" => "admin", "kind" => kind.as_str())
            });
            let counters = counters.collect();
            (admin, counters)
        };
        Self {
            state,
            upstream,
            admin: admin.map(counters),
        }
    }

    pub(super) fn update(&self) {
        if let Some((admin, counters)) = &self.admin {
            for ((_, count), counter) in admin.failed_handshakes().zip(counters) {
                counter.absolute(count);
            }
        }
    }

    /// Adds the series of files and servers to a rendered scrape. The exporter would keep the series of files and servers
    /// that the configuration has no longer.
    pub(super) fn append(&self, text: &mut String) {
        append(&self.state.in_force(), text);
        let line = self.upstream.as_ref().map(|upstream| {
            let tls = upstream.tls();
            let expiry = tls.and_then(|tls| tls.observer().server_not_after());
            format!("{UPSTREAM_EXPIRY} {}\n", since_epoch(expiry).as_secs())
        });
        let help = "Unix time at which the certificate expires that the upstream showed last.";
        append_gauge(UPSTREAM_EXPIRY, help, line.into_iter(), text);
    }
}

fn append(config: &Config, text: &mut String) {
    let files = config.certificate_files().into_iter().map(|file| {
        let expiry = since_epoch(Some(file.not_after)).as_secs();
        let path = escaped(&file.path.to_string_lossy());
        format!(
            "{EXPIRY}{{role=\"{}\",file=\"{path}\"}} {expiry}\n",
            file.role
        )
    });
    let help = "Unix time at which the first certificate of a file expires.";
    append_gauge(EXPIRY, help, files, text);
    let servers = config.unverified_servers().map(|server| {
        let (role, name) = (server.role, escaped(server.name));
        format!("{UNVERIFIED}{{role=\"{role}\",name=\"{name}\"}} 1\n")
    });
    let help = "1 for each server whose certificate is not verified.";
    append_gauge(UNVERIFIED, help, servers, text);
}

/// Adds a gauge if it has a series.
fn append_gauge(name: &str, help: &str, series: impl Iterator<Item = String>, text: &mut String) {
    let mut series = series.peekable();
    if series.peek().is_none() {
        return;
    }
    // Writing to a string cannot fail.
    let _ok = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    text.extend(series);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_there_is_no_series() {
        let config = pyrotee_config::load(Default::default()).unwrap();
        let mut text = String::new();
        append(&config, &mut text);
        assert_eq!(text, "");
    }
}
