//! The relay's metrics of the target, scrape by scrape.

use super::Clock;
use crate::support::{Client, Count, Metrics, Relay, Request};

/// One scrape.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    pub(crate) accepted: Count,
    pub(crate) sent: Count,
    pub(crate) pending: Count,
    pub(crate) state: String,
    /// Refused connections so far (`refused`), and uploads that failed for another reason (`failed`).
    pub(crate) refused: f64,
    pub(crate) failed: f64,
    /// Connections that were opened so far.
    pub(crate) opened: f64,
    /// Profiles that were delivered from the backlog so far.
    pub(crate) as_backlog: f64,
    pub(crate) limit: f64,
}

impl Sample {
    pub(crate) fn take(relay: &Relay, clock: Clock) -> Self {
        let mut client = Client::connect(relay.admin());
        let answer = client.exchange(&Request::get("/metrics"));
        let at = clock.now();
        let metrics = Metrics::parse(std::str::from_utf8(&answer.body.data).unwrap());
        let ledger = metrics.ledger("central");
        assert!(ledger.balances(), "{ledger:?}");
        let sum = |name: &str, labels: &[(&str, &str)]| {
            metrics.sum(&format!("pyroscope_remote_write_{name}"), labels)
        };
        let refused = sum("request_errors_total", &[("kind", "connect")]);
        let states = ["healthy", "throttled", "open", "suspended"];
        let is = |state: &&str| sum("target_state", &[("state", state)]) == 1.0;
        Self {
            at,
            accepted: ledger.accepted,
            sent: ledger.sent,
            pending: ledger.pending,
            state: states.into_iter().find(is).unwrap_or("none").to_owned(),
            refused,
            failed: sum("request_errors_total", &[]) - refused,
            opened: sum("connections_opened_total", &[]),
            as_backlog: sum("enqueue_to_sent_seconds_count", &[("lane", "backlog")]),
            limit: sum("concurrency_limit", &[]),
        }
    }
}

/// Latest possible time of each refused connection: the time of the scrape that first shows it.
pub(crate) fn attempts(samples: &[Sample]) -> Vec<f64> {
    let mut attempts = Vec::new();
    let mut known = 0.0;
    for sample in samples {
        while known < sample.refused {
            attempts.push(sample.at);
            known += 1.0;
        }
    }
    attempts
}
