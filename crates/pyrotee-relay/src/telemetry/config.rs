//! The series of the configuration and its reloads.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use super::series::float;
use crate::reload::ReloadState;

const SUCCESSFUL: &str = "pyroscope_relay_config_last_reload_successful";
const LAST_SUCCESS: &str = "pyroscope_relay_config_last_reload_success_timestamp_seconds";
const RELOADS: &str = "pyroscope_relay_config_reloads_total";
const ERRORS: &str = "pyroscope_relay_config_reloads_errors_total";
const RESTART_REQUIRED: &str = "pyroscope_relay_config_restart_required";
const STALE_FILES: &str = "pyroscope_relay_config_stale_files";
const INFO: &str = "pyroscope_relay_config_info";

/// Registers the help texts of the series.
pub(super) fn describe() {
    describe_gauge!(
        SUCCESSFUL,
        "1 if the configuration file is valid, 0 if a restart now would fail."
    );
    describe_gauge!(
        LAST_SUCCESS,
        Unit::Seconds,
        "Unix time at which the configuration was last loaded without a fault."
    );
    describe_counter!(
        RELOADS,
        "Reloads of the configuration, refused ones included."
    );
    describe_counter!(
        ERRORS,
        "Reloads that were refused: the configuration has faults."
    );
    describe_gauge!(
        RESTART_REQUIRED,
        "1 while a changed key of the configuration needs a restart."
    );
    describe_gauge!(
        STALE_FILES,
        "Files named by the configuration that cannot be used and keep their last good content."
    );
}

/// The series of the configuration.
#[derive(Debug)]
pub(super) struct ConfigSeries {
    state: Arc<ReloadState>,
    successful: Gauge,
    last_success: Gauge,
    reloads: Counter,
    errors: Counter,
    restart_required: Gauge,
    stale_files: Gauge,
}

impl ConfigSeries {
    pub(super) fn new(state: Arc<ReloadState>) -> Self {
        Self {
            state,
            successful: gauge!(SUCCESSFUL),
            last_success: gauge!(LAST_SUCCESS),
            reloads: counter!(RELOADS),
            errors: counter!(ERRORS),
            restart_required: gauge!(RESTART_REQUIRED),
            stale_files: gauge!(STALE_FILES),
        }
    }

    pub(super) fn update(&self) {
        let numbers = self.state.numbers();
        let flag = |is_set| f64::from(u8::from(is_set));
        self.successful.set(flag(numbers.is_successful));
        let last_success = numbers.last_success.duration_since(SystemTime::UNIX_EPOCH);
        self.last_success
            .set(last_success.unwrap_or(Duration::ZERO));
        self.reloads.absolute(numbers.reloads);
        self.errors.absolute(numbers.errors);
        self.restart_required.set(flag(numbers.needs_restart));
        self.stale_files.set(float(numbers.stale_files));
    }

    /// Adds the series with the hash to a rendered scrape. The exporter would keep one series for each hash that ever
    /// was.
    pub(super) fn append_info(&self, text: &mut String) {
        let hash = self.state.numbers().hash;
        // Writing to a string cannot fail.
        let _ok = write!(
            text,
            "# HELP {INFO} 1, with the hash of the configuration in force, without its secrets, as label.\n\
             # TYPE {INFO} gauge\n{INFO}{{hash=\"{hash}\"}} 1\n\n"
        );
    }
}
