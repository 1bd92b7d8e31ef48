//! The metrics of the delivery path, per target.

#![expect(
    clippy::disallowed_macros,
    reason = "this module makes all series of the crate"
)]

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use pyroscope_wire::refusal::Meaning;
use pyrotee_net::{Address, ExchangeErrorKind, status_label};
use pyrotee_queue::Lane;

use crate::outcome::{DoublingCause, Outcome};
use crate::status::TargetState;

/// Profile bytes of uploads that were sent; the name is Pyroscope 0.37's.
pub const SENT_BYTES: &str = "pyroscope_remote_write_client_sent_bytes";
/// Time to the head of a response; the name is Pyroscope 0.37's.
pub const RESPONSE_TIME: &str = "pyroscope_remote_write_client_response_time";
/// Uploads by status and outcome.
pub const REQUESTS: &str = "pyroscope_remote_write_requests_total";
/// Uploads without a response, by kind of error.
pub const REQUEST_ERRORS: &str = "pyroscope_remote_write_request_errors_total";
/// Time of a whole upload, by outcome.
pub const REQUEST_DURATION: &str = "pyroscope_remote_write_request_duration_seconds";
/// Records that are retried.
pub const RETRIES: &str = "pyroscope_remote_write_retries_total";
/// Ambiguous uploads: without a response, but the target may have the profile.
pub const AMBIGUOUS: &str = "pyroscope_remote_write_ambiguous_total";
/// Retries that may double samples, by cause.
pub const POSSIBLY_DOUBLED: &str = "pyroscope_remote_write_possibly_doubled_total";
/// Records that the target acknowledged although it rejected a part of them.
pub const PARTIALLY_REJECTED: &str = "pyroscope_remote_write_partially_rejected_profiles_total";
/// Changes of a target's state.
pub const TRANSITIONS: &str = "pyroscope_remote_write_circuit_transitions_total";
/// The target's last `Retry-After`.
pub const RETRY_AFTER: &str = "pyroscope_remote_write_retry_after_seconds";
/// Uploads repeated at once because of a stale connection.
pub const STALE_RETRIES: &str = "pyroscope_remote_write_stale_retries_total";
/// Time from the receipt of a record to the target's acknowledgement.
pub const ENQUEUE_TO_SENT: &str = "pyroscope_remote_write_enqueue_to_sent_seconds";

/// Registers the description of each series.
pub fn describe() {
    describe_counter!(
        SENT_BYTES,
        "Profile bytes of uploads that were written whole, whatever the response."
    );
    describe_histogram!(
        RESPONSE_TIME,
        "Seconds to the head of the target's response, by status code."
    );
    describe_counter!(
        REQUESTS,
        "Uploads by status code, `error` if there was no response, and by outcome."
    );
    describe_histogram!(
        REQUEST_DURATION,
        Unit::Seconds,
        "Time of a whole upload, connecting included, by outcome."
    );
    describe_counter!(RETRIES, "Profiles returned to the queue for a retry.");
    describe_counter!(
        AMBIGUOUS,
        "Uploads without a response that may have arrived: a retry may double samples."
    );
    describe_counter!(
        POSSIBLY_DOUBLED,
        "Profiles sent again although the target may have them or a part of them, by cause."
    );
    describe_counter!(
        PARTIALLY_REJECTED,
        "Profiles that the target acknowledged and rejected a part of (OTLP partial success)."
    );
    describe_counter!(
        TRANSITIONS,
        "Changes of the target's state, by the new state."
    );
    describe_gauge!(
        RETRY_AFTER,
        Unit::Seconds,
        "The pause that the target asked for last, by Retry-After or the reset of a quota; 0: none."
    );
    describe_counter!(
        REQUEST_ERRORS,
        "Uploads without a response, by kind of error."
    );
    describe_counter!(
        STALE_RETRIES,
        "Uploads sent once more because a kept-alive connection had gone stale."
    );
    describe_histogram!(
        ENQUEUE_TO_SENT,
        Unit::Seconds,
        "Time from the receipt of a profile to the target's acknowledgement, by lane."
    );
}

/// One meaning for each value of the `outcome` label.
const MEANINGS: [Meaning; 7] = [
    Meaning::Taken,
    Meaning::Throttled,
    Meaning::Transient,
    Meaning::Ambiguous,
    Meaning::Rejected,
    Meaning::Unknown,
    Meaning::Broken,
];

/// The metric series of one target. The handles are kept, because a lookup in the exporter costs more than counting.
#[derive(Debug)]
pub(crate) struct TargetMetrics {
    target: String,
    address: String,
    /// Response time of status 200, which most responses have.
    ok_time: OnceLock<Histogram>,
    /// Number of successful uploads with status 200.
    ok: OnceLock<Counter>,
    pub(crate) sent_bytes: Counter,
    pub(crate) stale_retries: Counter,
    pub(crate) retries: Counter,
    ambiguous: Counter,
    possibly_doubled: [Counter; DoublingCause::ALL.len()],
    pub(crate) partially_rejected: Counter,
    transitions: [Counter; TargetState::ALL.len()],
    retry_after: Gauge,
    durations: [(Meaning, Histogram); MEANINGS.len()],
    errors: [Counter; ExchangeErrorKind::ALL.len()],
    enqueue_to_sent: [Histogram; 2],
}

impl TargetMetrics {
    /// The series of the target `name` at `address`. The series of a known target go on, apart from those with the
    /// label of the address.
    pub(crate) fn new(name: &str, address: &Address) -> Self {
        let (target, address) = (name.to_owned(), address.to_string());
        let metrics = Self {
            sent_bytes: counter!(
                SENT_BYTES, "target_name" => target.clone(), "target_address" => address.clone()
            ),
            stale_retries: counter!(STALE_RETRIES, "target" => target.clone()),
            retries: counter!(RETRIES, "target" => target.clone()),
            ambiguous: counter!(AMBIGUOUS, "target" => target.clone()),
            possibly_doubled: DoublingCause::ALL.map(|cause| {
                counter!(POSSIBLY_DOUBLED, "target" => target.clone(), "cause" => cause.as_str())
            }),
            partially_rejected: counter!(PARTIALLY_REJECTED, "target" => target.clone()),
            transitions: TargetState::ALL.map(|state| {
                counter!(TRANSITIONS, "target" => target.clone(), "to" => state.as_str())
            }),
            retry_after: gauge!(RETRY_AFTER, "target" => target.clone()),
            durations: MEANINGS.map(|meaning| {
                let outcome = meaning.as_str();
                let series =
                    histogram!(REQUEST_DURATION, "target" => target.clone(), "outcome" => outcome);
                (meaning, series)
            }),
            errors: ExchangeErrorKind::ALL.map(|kind| {
                counter!(REQUEST_ERRORS, "target" => target.clone(), "kind" => kind.as_str())
            }),
            enqueue_to_sent: ["fresh", "backlog"].map(|lane| {
                histogram!(ENQUEUE_TO_SENT, "target" => target.clone(), "lane" => lane)
            }),
            ok_time: OnceLock::new(),
            ok: OnceLock::new(),
            target,
            address,
        };
        // The series exists before the first pause.
        metrics.no_pause();
        metrics
    }

    /// Counts a response whose head arrived after `took`.
    pub(crate) fn response_head(&self, status: StatusCode, took: Duration) {
        let series = || {
            histogram!(
                RESPONSE_TIME,
                "target_name" => self.target.clone(),
                "target_address" => self.address.clone(),
                "code" => status_label(status)
            )
        };
        match status {
            StatusCode::OK => self.ok_time.get_or_init(series).record(took),
            _ => series().record(took),
        }
    }

    /// Counts an upload that ended after `took`.
    pub(crate) fn upload_ended(&self, outcome: &Outcome, took: Duration) {
        // An unsendable record is no upload.
        if let Ok(meaning) = outcome.meaning {
            let mut durations = self.durations.iter();
            if let Some((_, series)) = durations.find(|(of, _)| of.as_str() == meaning.as_str()) {
                series.record(took);
            }
            self.count(meaning, outcome.status);
            if meaning == Meaning::Ambiguous {
                self.ambiguous.increment(1);
            }
        }
        let kind = outcome.error_kind();
        if let Some(errors) = kind.and_then(|kind| self.errors.get(kind as usize)) {
            errors.increment(1);
        }
    }

    fn count(&self, meaning: Meaning, status: Option<StatusCode>) {
        let series = || {
            let code = status.map_or("error", status_label);
            counter!(
                REQUESTS, "target" => self.target.clone(), "code" => code, "outcome" => meaning.as_str()
            )
        };
        match (meaning, status) {
            (Meaning::Taken, Some(StatusCode::OK)) => self.ok.get_or_init(series).increment(1),
            _ => series().increment(1),
        }
    }

    /// Shows the pause that the target asked for.
    pub(crate) fn pause(&self, asked: Duration) {
        self.retry_after.set(asked);
    }

    /// Shows that the target has asked for no pause.
    pub(crate) fn no_pause(&self) {
        self.retry_after.set(0);
    }

    /// Counts a retry that may double samples.
    pub(crate) fn possibly_doubled(&self, cause: DoublingCause) {
        if let Some(series) = self.possibly_doubled.get(cause as usize) {
            series.increment(1);
        }
    }

    /// Counts a record that the target acknowledged `waited` after its receipt.
    pub(crate) fn acked(&self, lane: Lane, waited: Duration) {
        let [fresh, backlog] = &self.enqueue_to_sent;
        let series = match lane {
            Lane::Fresh => fresh,
            // A record that failed before was not delivered in time either.
            Lane::Backlog | Lane::Failed => backlog,
        };
        series.record(waited);
    }

    /// Counts a change of the target's state to `state`.
    pub(crate) fn state_changed(&self, state: TargetState) {
        if let Some(transitions) = self.transitions.get(state as usize) {
            transitions.increment(1);
        }
    }
}
