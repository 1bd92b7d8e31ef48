//! Metrics of the discoveries.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::time::SystemTime;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use super::mechanism::Mechanism;

/// Addresses that a mechanism found.
pub(crate) const TARGETS: &str = "pyroscope_relay_sd_targets";
/// Attempts to read a file or to ask a server that failed.
pub(crate) const ERRORS: &str = "pyroscope_relay_sd_errors_total";
/// Time of the last attempt that succeeded.
pub(crate) const LAST_SUCCESS: &str = "pyroscope_relay_sd_last_success_timestamp_seconds";
/// Addresses that all mechanisms found (0.37).
pub(crate) const DISCOVERED: &str = "pyroscope_sd_discovered_targets";
/// Changes that were handed to the loops (0.37).
pub(crate) const UPDATES: &str = "pyroscope_sd_updates_total";

/// Registers the description of each series.
pub(crate) fn describe() {
    describe_gauge!(TARGETS, "Addresses that a job has found, by mechanism.");
    describe_counter!(
        ERRORS,
        "Files that could not be read and servers that gave no list of addresses, by mechanism."
    );
    describe_gauge!(
        LAST_SUCCESS,
        Unit::Seconds,
        "Unix time at which all files or a server gave their lists of addresses, by mechanism."
    );
    describe_gauge!(DISCOVERED, "Addresses that a job has found.");
    describe_counter!(
        UPDATES,
        "Changes of the scrape targets of a job that were handed to its loops."
    );
}

/// The series of a job that do not depend on the mechanism.
#[derive(Debug)]
pub(super) struct JobMetrics {
    /// Addresses of the configuration, which cannot fail.
    pub(super) fixed: Gauge,
    pub(super) discovered: Gauge,
    pub(super) updates: Counter,
}

/// The series of a mechanism of a job.
#[derive(Debug, Clone)]
pub(super) struct MechanismMetrics {
    pub(super) targets: Gauge,
    pub(super) errors: Counter,
    last_success: Gauge,
}

impl JobMetrics {
    pub(super) fn new(job: &str) -> Self {
        Self {
            fixed: gauge!(TARGETS, "scrape_job" => job.to_owned(), "mechanism" => "static"),
            discovered: gauge!(DISCOVERED, "scrape_job" => job.to_owned()),
            updates: counter!(UPDATES, "scrape_job" => job.to_owned()),
        }
    }
}

impl MechanismMetrics {
    pub(super) fn new(job: &str, mechanism: Mechanism) -> Self {
        let labels = [
            ("scrape_job", job.to_owned()),
            ("mechanism", mechanism.as_str().to_owned()),
        ];
        Self {
            targets: gauge!(TARGETS, &labels),
            errors: counter!(ERRORS, &labels),
            last_success: gauge!(LAST_SUCCESS, &labels),
        }
    }

    pub(super) fn succeeded(&self, now: SystemTime) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        self.last_success
            .set(since.unwrap_or_default().as_secs_f64());
    }
}
