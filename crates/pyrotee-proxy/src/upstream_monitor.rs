//! Whether the upstream responds: the state of its newest exchange, and the log lines about its failures.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Uri;
use pyrotee_net::ExchangeErrorKind;
use pyrotee_queue::{LogLimiter, lock};

use crate::upstream_limit::UpstreamLimit;

/// Shows whether the upstream responds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UpstreamMonitor(Arc<Shared>);

/// The status of the upstream at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Scheme, host and port of the upstream, without credentials.
    pub address: String,
    /// When the head of the last response arrived, to the millisecond; `None` if there was none.
    pub last_success: Option<SystemTime>,
    /// The last exchange that failed by the fault of the upstream; `None` if none has.
    pub last_error: Option<UpstreamError>,
    /// The newest exchange failed by the fault of the upstream.
    pub failing: bool,
}

/// An exchange with the upstream that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamError {
    /// When the exchange failed.
    pub at: SystemTime,
    /// Why; it has the remedy, too.
    pub kind: ExchangeErrorKind,
    /// The error in one line.
    pub text: String,
}

#[derive(Debug)]
struct Shared {
    address: String,
    /// Unix time in milliseconds; 0 if there was no response.
    last_success: AtomicU64,
    failing: AtomicBool,
    outage: Mutex<Outage>,
    log: LogLimiter,
}

/// The failed exchanges.
#[derive(Debug, Default)]
struct Outage {
    last_error: Option<UpstreamError>,
    /// Failed exchanges since the last line that the upstream responds.
    failed: u64,
    /// A failure was logged since that line.
    is_logged: bool,
}

impl UpstreamMonitor {
    pub(crate) fn new(origin: &Uri) -> Self {
        let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let authority = part(origin.authority().map(|it| it.as_str()));
        // `Address` keeps credentials apart from the origin.
        let address = format!("{}://{authority}", part(origin.scheme_str()));
        Self(Arc::new(Shared {
            address,
            last_success: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            outage: Mutex::default(),
            log: LogLimiter::default(),
        }))
    }

    /// The status of the upstream at this instant.
    pub fn snapshot(&self) -> UpstreamStatus {
        let last_success = self.0.last_success.load(Relaxed);
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(last_success));
        UpstreamStatus {
            address: self.0.address.clone(),
            last_success: time.filter(|_| last_success > 0),
            last_error: lock(&self.0.outage).last_error.clone(),
            failing: self.0.failing.load(Relaxed),
        }
    }

    /// Scheme, host and port of the upstream, without credentials.
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }

    /// Notes a response of the upstream, whatever its status. Takes a lock only after a failure.
    pub(crate) fn responded(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        self.0.last_success.store(millis, Relaxed);
        if self.0.failing.load(Relaxed) {
            self.recovered();
        }
    }

    fn recovered(&self) {
        let mut outage = lock(&self.0.outage);
        // Of responses at the same time, one is the first.
        if !self.0.failing.swap(false, Relaxed) || !outage.is_logged {
            return;
        }
        outage.is_logged = false;
        let failed = std::mem::take(&mut outage.failed);
        drop(outage);
        tracing::info!(address = self.address(), failed, "upstream responds again");
    }

    /// Notes and logs an exchange that failed by the fault of the upstream.
    pub(crate) fn failed(&self, kind: ExchangeErrorKind, text: String) {
        let left_out = self.0.log.due(kind.as_str());
        if let Some(left_out) = left_out {
            let message = match kind {
                ExchangeErrorKind::Dns | ExchangeErrorKind::Connect | ExchangeErrorKind::Tls => {
                    "upstream unreachable"
                }
                ExchangeErrorKind::Timeout => "upstream did not respond in time",
                ExchangeErrorKind::Reset => "upstream broke the connection off",
            };
            tracing::warn!(
                address = self.address(),
                kind = kind.as_str(),
                error = text,
                remedy = kind.remedy(),
                left_out,
                "{message}"
            );
        }
        let at = SystemTime::now();
        let mut outage = lock(&self.0.outage);
        outage.last_error = Some(UpstreamError { at, kind, text });
        outage.failed = outage.failed.saturating_add(1);
        outage.is_logged |= left_out.is_some();
        self.0.failing.store(true, Relaxed);
    }

    /// Logs a request that was not sent to the upstream because `limit` was reached.
    pub(crate) fn saturated(&self, limit: UpstreamLimit) {
        let limit_name = limit.as_str();
        if let Some(left_out) = self.0.log.due(limit_name) {
            tracing::warn!(
                address = self.address(),
                limit = limit_name,
                remedy = limit.remedy(),
                left_out,
                "too many requests to the upstream at once"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_newest_exchange_decides_whether_the_upstream_fails() {
        let monitor = UpstreamMonitor::new(&Uri::from_static("http://10.0.0.1:4042/"));
        let unused = UpstreamStatus {
            address: "http://10.0.0.1:4042".to_owned(),
            last_success: None,
            last_error: None,
            failing: false,
        };
        assert_eq!(monitor.snapshot(), unused);

        monitor.failed(ExchangeErrorKind::Connect, "refused".to_owned());
        let status = monitor.snapshot();
        assert!(status.failing && status.last_success.is_none());
        let error = status.last_error.unwrap();
        assert_eq!(
            (error.kind, &*error.text),
            (ExchangeErrorKind::Connect, "refused")
        );

        monitor.responded();
        let status = monitor.snapshot();
        assert!(!status.failing && status.last_success.is_some());
        assert!(status.last_error.is_some(), "the last error stays");

        monitor.saturated(UpstreamLimit::Connections);
        assert!(!monitor.snapshot().failing, "a limit is not its fault");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_fails_every_other_request_has_one_line_in_ten_seconds() {
        let monitor = UpstreamMonitor::new(&Uri::from_static("http://10.0.0.1:4042/"));
        let outage = |monitor: &UpstreamMonitor| {
            let outage = lock(&monitor.0.outage);
            (outage.failed, outage.is_logged)
        };
        monitor.failed(ExchangeErrorKind::Reset, "reset".to_owned());
        assert_eq!(outage(&monitor), (1, true));
        monitor.responded();
        assert_eq!(outage(&monitor), (0, false), "told");
        for failed in 1..5 {
            monitor.failed(ExchangeErrorKind::Reset, "reset".to_owned());
            monitor.responded();
            assert_eq!(outage(&monitor), (failed, false), "kept for the next line");
        }
        tokio::time::advance(pyrotee_queue::LOG_INTERVAL).await;
        monitor.failed(ExchangeErrorKind::Reset, "reset".to_owned());
        assert_eq!(outage(&monitor), (5, true));
    }
}
