//! The state of the upstream, and the log lines about its failures.

use std::sync::Arc;

use http::Uri;
use pyrotee_net::{ExchangeErrorKind, ExchangeHealth, HealthStatus};
use pyrotee_queue::LogLimiter;

use crate::upstream_limit::UpstreamLimit;

/// Shows whether the upstream responds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UpstreamMonitor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    health: ExchangeHealth,
    log: LogLimiter,
}

impl UpstreamMonitor {
    pub(crate) fn new(origin: &Uri) -> Self {
        // `Address` keeps credentials apart from the origin, whose path is `/`.
        let address = origin.to_string().trim_end_matches('/').to_owned();
        Self(Arc::new(Shared {
            health: ExchangeHealth::new(address),
            log: LogLimiter::default(),
        }))
    }

    /// The status of the upstream at this instant.
    pub fn snapshot(&self) -> HealthStatus {
        self.0.health.snapshot()
    }

    pub(crate) fn address(&self) -> &str {
        self.0.health.address()
    }

    /// Notes a response of the upstream. Logs the end of an outage.
    pub(crate) fn responded(&self) {
        if let Some(failed) = self.0.health.responded() {
            tracing::info!(address = self.address(), failed, "upstream responds again");
        }
    }

    /// Notes and logs an exchange that failed by the fault of the upstream.
    pub(crate) fn failed(&self, kind: ExchangeErrorKind, text: String, remedy: &'static str) {
        let left_out = self.0.log.due(kind.as_str());
        if let Some(left_out) = left_out {
            let (address, error) = (self.address(), &*text);
            let message = match kind {
                ExchangeErrorKind::Dns | ExchangeErrorKind::Connect | ExchangeErrorKind::Tls => {
                    "upstream unreachable"
                }
                ExchangeErrorKind::Timeout => "upstream did not respond in time",
                ExchangeErrorKind::Reset => "upstream broke the connection off",
            };
            let kind = kind.as_str();
            tracing::warn!(address, kind, error, remedy, left_out, "{message}");
        }
        self.0.health.failed(kind, text, remedy, left_out.is_some());
    }

    /// Logs a request that was not sent to the upstream because `limit` was reached.
    pub(crate) fn saturated(&self, limit: UpstreamLimit) {
        let (address, remedy, limit) = (self.address(), limit.remedy(), limit.as_str());
        if let Some(left_out) = self.0.log.due(limit) {
            let message = "too many requests to the upstream at once";
            tracing::warn!(address, limit, remedy, left_out, "{message}");
        }
    }
}
