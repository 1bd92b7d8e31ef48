//! The relay's account of a target, read as anybody would read it.

use std::{
    io::{Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;

/// Profiles and bytes of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ledger {
    accepted: [f64; 2],
    sent: [f64; 2],
    pending: [f64; 2],
    dropped: [f64; 2],
}

impl Ledger {
    /// Scrapes the accounts of so many targets.
    pub(crate) fn scrape(admin: SocketAddr, targets: usize) -> anyhow::Result<Vec<Self>> {
        let text = get(admin, "/metrics")?;
        Ok((0..targets)
            .map(|index| Self::read(&text, &format!("t{index}")))
            .collect())
    }

    fn read(text: &str, target: &str) -> Self {
        let both = |stem: &str, suffix: &str| {
            ["profiles", "bytes"].map(|unit| {
                sum(
                    text,
                    &format!("pyroscope_remote_write_{stem}_{unit}{suffix}"),
                    target,
                )
            })
        };
        Self {
            accepted: both("accepted", "_total"),
            sent: both("sent", "_total"),
            pending: both("pending", ""),
            dropped: both("dropped", "_total"),
        }
    }

    pub(crate) fn accepted(&self) -> f64 {
        self.accepted[0]
    }

    pub(crate) fn sent(&self) -> f64 {
        self.sent[0]
    }

    pub(crate) fn pending(&self) -> f64 {
        self.pending[0]
    }

    pub(crate) fn dropped(&self) -> f64 {
        self.dropped[0]
    }

    /// Whether `accepted = sent + pending + dropped`, in profiles and in bytes.
    pub(crate) fn balances(&self) -> bool {
        (0..2).all(|unit| {
            let known = self.sent[unit] + self.pending[unit] + self.dropped[unit];
            (self.accepted[unit] - known).abs() < 0.5
        })
    }
}

/// All series of this name and target, added up.
fn sum(text: &str, name: &str, target: &str) -> f64 {
    let label = format!("target=\"{target}\"");
    let samples = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix(name)?.strip_prefix('{')?;
        labels.contains(&label).then(|| value.parse::<f64>().ok())?
    });
    samples.sum()
}

/// One series of the whole process.
pub(crate) fn value(admin: SocketAddr, name: &str) -> anyhow::Result<f64> {
    let text = get(admin, "/metrics")?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.and_then(|value| value.parse().ok());
    value.with_context(|| format!("there is no {name} in the metrics"))
}

/// The body of an answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer has a head")?;
    anyhow::ensure!(
        head.starts_with("HTTP/1.1 200"),
        "{path} is answered with {head:?}"
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
        assert_eq!(
            (ledger.accepted(), ledger.sent(), ledger.dropped()),
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
