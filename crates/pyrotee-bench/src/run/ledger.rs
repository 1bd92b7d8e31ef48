//! The relay's ledger of a target, read from its metrics.

use std::{
    io::{Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;

/// The relay's ledger of one target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ledger {
    pub(crate) profiles: Account,
    bytes: Account,
}

/// One side of a ledger, in profiles or in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) accepted: f64,
    pub(crate) sent: f64,
    pending: f64,
    pub(crate) dropped: f64,
}

impl Ledger {
    /// Scrapes the ledgers of the first `targets` targets.
    pub(crate) fn scrape(admin: SocketAddr, targets: usize) -> anyhow::Result<Vec<Self>> {
        let text = get(admin, "/metrics")?;
        Ok((0..targets)
            .map(|index| Self::read(&text, &format!("t{index}")))
            .collect())
    }

    fn read(text: &str, target: &str) -> Self {
        let [profiles, bytes] = ["profiles", "bytes"].map(|unit| {
            let series = |stem: &str, suffix: &str| {
                let name = format!("pyroscope_remote_write_{stem}_{unit}{suffix}");
                sum(text, &name, target)
            };
            Account {
                accepted: series("accepted", "_total"),
                sent: series("sent", "_total"),
                pending: series("pending", ""),
                dropped: series("dropped", "_total"),
            }
        });
        Self { profiles, bytes }
    }

    /// Whether `accepted = sent + pending + dropped`, in profiles and in bytes.
    pub(crate) fn balances(&self) -> bool {
        self.profiles.imbalance() < 0.5 && self.bytes.imbalance() < 0.5
    }
}

impl Account {
    /// By how much `accepted` and `sent + pending + dropped` differ.
    pub(crate) fn imbalance(&self) -> f64 {
        (self.accepted - (self.sent + self.pending + self.dropped)).abs()
    }
}

/// The sum of all series with this name and target.
fn sum(text: &str, name: &str, target: &str) -> f64 {
    let label = format!("target=\"{target}\"");
    let samples = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix(name)?.strip_prefix('{')?;
        labels.contains(&label).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}

/// The value of a series without labels.
pub(crate) fn value(admin: SocketAddr, name: &str) -> anyhow::Result<f64> {
    let text = get(admin, "/metrics")?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.and_then(|value| value.parse().ok());
    value.with_context(|| format!("there is no {name} in the metrics"))
}

/// Sends a `GET` and returns the body of the response, which must have status 200.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .context("a response has a head")?;
    anyhow::ensure!(
        head.starts_with("HTTP/1.1 200"),
        "the response to {path} is {head:?}"
    );
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# TYPE pyroscope_remote_write_accepted_profiles_total counter
pyroscope_remote_write_accepted_profiles_total{target=\"t1\"} 10
pyroscope_remote_write_accepted_profiles_total{target=\"t11\"} 99
pyroscope_remote_write_sent_profiles_total{target=\"t1\"} 6
pyroscope_remote_write_pending_profiles{target=\"t1\"} 1
pyroscope_remote_write_dropped_profiles_total{target=\"t1\",reason=\"budget\"} 1
pyroscope_remote_write_dropped_profiles_total{target=\"t1\",reason=\"queue_full\"} 2
";

    #[test]
    fn an_account_is_read_over_all_reasons_and_for_one_target() {
        let ledger = Ledger::read(TEXT, "t1");
        let profiles = ledger.profiles;
        assert_eq!(
            (profiles.accepted, profiles.sent, profiles.dropped),
            (10.0, 6.0, 3.0)
        );
        assert!(ledger.balances());
    }

    #[test]
    fn a_profile_that_is_nowhere_is_seen() {
        let text = TEXT.replace(
            "sent_profiles_total{target=\"t1\"} 6",
            "sent_profiles_total{target=\"t1\"} 5",
        );
        assert!(!Ledger::read(&text, "t1").balances());
    }
}
