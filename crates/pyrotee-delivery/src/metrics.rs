//! What the delivery path counts, per target.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::time::{Duration, SystemTime};

use http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use pyrotee_net::FaultKind;

use crate::Settings;
use crate::outcome::Outcome;

/// Bytes of profiles in uploads that went out; the name of Pyroscope 0.37.
pub const SENT_BYTES: &str = "pyroscope_remote_write_client_sent_bytes";
/// Time to the head of an answer; the name of Pyroscope 0.37.
pub const RESPONSE_TIME: &str = "pyroscope_remote_write_client_response_time";
/// Uploads by status.
pub const REQUESTS: &str = "pyroscope_remote_write_requests_total";
/// Uploads without an answer, by kind.
pub const REQUEST_ERRORS: &str = "pyroscope_remote_write_request_errors_total";
/// Uploads repeated because a kept-alive connection had gone stale.
pub const STALE_RETRIES: &str = "pyroscope_remote_write_stale_retries_total";
/// Uploads under way.
pub const IN_FLIGHT: &str = "pyroscope_remote_write_inflight_requests";
/// From receipt to the target's answer.
pub const ENQUEUE_TO_SENT: &str = "pyroscope_remote_write_enqueue_to_sent_seconds";
/// When the target last took a profile.
pub const LAST_SUCCESS: &str = "pyroscope_remote_write_last_success_timestamp_seconds";
/// When an upload last failed.
pub const LAST_FAILURE: &str = "pyroscope_remote_write_last_failure_timestamp_seconds";

/// Tells the exporter what the series mean.
pub fn describe() {
    describe_counter!(SENT_BYTES, "Profile bytes of uploads that went out.");
    describe_histogram!(
        RESPONSE_TIME,
        "Seconds to the head of the target's answer, by status code."
    );
    describe_counter!(
        REQUESTS,
        "Uploads by status code; `error` if there was no answer."
    );
    describe_counter!(
        REQUEST_ERRORS,
        "Uploads without an answer, by kind of failure."
    );
    describe_counter!(
        STALE_RETRIES,
        "Uploads sent once more because a kept-alive connection had gone stale."
    );
    describe_gauge!(IN_FLIGHT, "Uploads under way.");
    describe_histogram!(
        ENQUEUE_TO_SENT,
        Unit::Seconds,
        "Time from the receipt of a profile to the answer of the target that took it."
    );
    describe_gauge!(
        LAST_SUCCESS,
        Unit::Seconds,
        "When the target last took a profile; 0: never."
    );
    describe_gauge!(
        LAST_FAILURE,
        Unit::Seconds,
        "When an upload last failed; 0: never."
    );
}

/// Handles of one target's series; made once.
#[derive(Debug)]
pub(crate) struct TargetMetrics {
    target: String,
    address: String,
    pub(crate) sent_bytes: Counter,
    pub(crate) stale_retries: Counter,
    pub(crate) in_flight: Gauge,
    errors: [Counter; FaultKind::ALL.len()],
    enqueue_to_sent: Histogram,
    last_success: Gauge,
    last_failure: Gauge,
}

impl TargetMetrics {
    pub(crate) fn new(settings: &Settings) -> Self {
        let target = settings.name.clone();
        let address = settings.address.to_string();
        let metrics = Self {
            sent_bytes: counter!(
                SENT_BYTES, "target_name" => target.clone(), "target_address" => address.clone()
            ),
            stale_retries: counter!(STALE_RETRIES, "target" => target.clone()),
            in_flight: gauge!(IN_FLIGHT, "target" => target.clone()),
            errors: FaultKind::ALL.map(|kind| {
                counter!(REQUEST_ERRORS, "target" => target.clone(), "kind" => kind.as_str())
            }),
            enqueue_to_sent: histogram!(ENQUEUE_TO_SENT, "target" => target.clone()),
            last_success: gauge!(LAST_SUCCESS, "target" => target.clone()),
            last_failure: gauge!(LAST_FAILURE, "target" => target.clone()),
            target,
            address,
        };
        // A series that is there from the start can be told from one that is missing.
        metrics.in_flight.set(0);
        metrics.last_success.set(0);
        metrics.last_failure.set(0);
        metrics
    }

    /// The head of an answer came.
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        let code = status.as_str().to_owned();
        histogram!(
            RESPONSE_TIME,
            "target_name" => self.target.clone(),
            "target_address" => self.address.clone(),
            "code" => code.clone()
        )
        .record(took);
        self.count(code);
    }

    /// An upload of a record of `received` ended.
    pub(crate) fn settled(&self, outcome: &Outcome, received: SystemTime) {
        let now = SystemTime::now();
        let seconds = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        if let Outcome::Sent = outcome {
            self.last_success.set(seconds);
            self.enqueue_to_sent
                .record(now.duration_since(received).unwrap_or_default());
            return;
        }
        self.last_failure.set(seconds);
        if let Outcome::Failed(fault) = outcome {
            self.count("error".to_owned());
            if let Some(errors) = self.errors.get(fault.kind() as usize) {
                errors.increment(1);
            }
        }
    }

    fn count(&self, code: String) {
        counter!(REQUESTS, "target" => self.target.clone(), "code" => code).increment(1);
    }
}
