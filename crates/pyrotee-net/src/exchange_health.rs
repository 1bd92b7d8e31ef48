//! Whether a server responds: the newest of the exchanges with it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ExchangeErrorKind;

/// The exchanges with one server, as far as they show whether it responds.
#[derive(Debug)]
pub struct ExchangeHealth {
    address: String,
    /// Unix time in milliseconds; 0 if there was no response.
    last_success: AtomicU64,
    failing: AtomicBool,
    failures: Mutex<Failures>,
}

/// The health of a server at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthStatus {
    /// Scheme, host and port of the server, without credentials.
    pub address: String,
    /// When the head of the last response arrived, to the millisecond; `None` if there was none.
    pub last_success: Option<SystemTime>,
    /// The last exchange that failed by the fault of the server; `None` if none has.
    pub last_error: Option<FailedExchange>,
    /// The newest exchange failed by the fault of the server.
    pub failing: bool,
}

/// An exchange that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedExchange {
    /// When the exchange failed.
    pub at: SystemTime,
    /// Why.
    pub kind: ExchangeErrorKind,
    /// The error in one line.
    pub text: String,
    /// What an operator does about the failure.
    pub remedy: &'static str,
}

#[derive(Debug, Default)]
struct Failures {
    last: Option<FailedExchange>,
    /// Failed exchanges since the last logged recovery.
    count: u64,
    /// A failure was logged since that recovery.
    is_logged: bool,
}

impl ExchangeHealth {
    /// The health of the server with this address, which no exchange has been made with.
    pub fn new(address: String) -> Self {
        Self {
            address,
            last_success: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            failures: Mutex::default(),
        }
    }

    /// The address of the server.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The health of the server at this instant.
    pub fn snapshot(&self) -> HealthStatus {
        let last_success = self.last_success.load(Relaxed);
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(last_success));
        HealthStatus {
            address: self.address.clone(),
            last_success: time.filter(|_| last_success > 0),
            last_error: self.failures().last.clone(),
            failing: self.failing.load(Relaxed),
        }
    }

    /// Notes a response, whatever its status. Takes a lock only after a failure. Returns the number of exchanges that had
    /// failed, if this response ends an outage that was logged.
    pub fn responded(&self) -> Option<u64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        self.last_success.store(millis, Relaxed);
        if !self.failing.load(Relaxed) {
            return None;
        }
        let mut failures = self.failures();
        // Of responses at the same time, one is the first.
        if !self.failing.swap(false, Relaxed) || !failures.is_logged {
            return None;
        }
        failures.is_logged = false;
        Some(std::mem::take(&mut failures.count))
    }

    /// Notes an exchange that failed by the fault of the server. `is_logged`: the failure was logged.
    pub fn failed(
        &self,
        kind: ExchangeErrorKind,
        text: String,
        remedy: &'static str,
        is_logged: bool,
    ) {
        let at = SystemTime::now();
        let mut failures = self.failures();
        failures.last = Some(FailedExchange {
            at,
            kind,
            text,
            remedy,
        });
        failures.count = failures.count.saturating_add(1);
        failures.is_logged |= is_logged;
        self.failing.store(true, Relaxed);
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &ExchangeHealth, is_logged: bool) {
        let kind = ExchangeErrorKind::Connect;
        health.failed(kind, "refused".to_owned(), kind.remedy(), is_logged);
    }

    #[test]
    fn the_newest_exchange_decides_whether_a_server_fails() {
        let health = ExchangeHealth::new("http://10.0.0.1:4042".to_owned());
        let unused = HealthStatus {
            address: "http://10.0.0.1:4042".to_owned(),
            last_success: None,
            last_error: None,
            failing: false,
        };
        assert_eq!(health.snapshot(), unused);

        fail(&health, true);
        let status = health.snapshot();
        assert!(status.failing && status.last_success.is_none());
        let error = status.last_error.unwrap();
        assert_eq!(
            (error.kind, &*error.text),
            (ExchangeErrorKind::Connect, "refused")
        );

        health.responded();
        let status = health.snapshot();
        assert!(!status.failing && status.last_success.is_some());
        assert!(status.last_error.is_some(), "the last error stays");
    }

    #[test]
    fn a_recovery_is_told_once_and_only_after_a_failure_that_was_logged() {
        let health = ExchangeHealth::new(String::new());
        assert_eq!(health.responded(), None);
        fail(&health, true);
        fail(&health, false);
        assert_eq!(health.responded(), Some(2));
        assert_eq!(health.responded(), None);
        for _ in 0..3 {
            fail(&health, false);
            assert_eq!(health.responded(), None, "kept for the next line");
        }
        fail(&health, true);
        assert_eq!(health.responded(), Some(4));
    }
}
