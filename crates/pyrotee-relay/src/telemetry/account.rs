//! The series that show a target's account.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use pyrotee_queue::{Counts, Reason, Tally};

use super::series::float;

const ACCEPTED: [&str; 2] = [
    "pyroscope_remote_write_accepted_profiles_total",
    "pyroscope_remote_write_accepted_bytes_total",
];
const SENT: [&str; 2] = [
    "pyroscope_remote_write_sent_profiles_total",
    "pyroscope_remote_write_sent_bytes_total",
];
const DROPPED: [&str; 2] = [
    "pyroscope_remote_write_dropped_profiles_total",
    "pyroscope_remote_write_dropped_bytes_total",
];
const TAKEN_OVER: [&str; 2] = [
    "pyroscope_remote_write_taken_over_profiles_total",
    "pyroscope_remote_write_taken_over_bytes_total",
];
const HANDED_OVER: [&str; 2] = [
    "pyroscope_remote_write_handed_over_profiles_total",
    "pyroscope_remote_write_handed_over_bytes_total",
];
const PENDING: [&str; 2] = [
    "pyroscope_remote_write_pending_profiles",
    "pyroscope_remote_write_pending_bytes",
];

/// State of configured and removed targets, with one series per state.
pub(super) const TARGET_STATE: &str = "pyroscope_remote_write_target_state";

/// The state of a target that is not in the configuration any more and has pending profiles.
pub(super) const REMOVED: &str = "removed";

/// Registers the help texts of the series.
pub(super) fn describe() {
    let counters = [
        (
            ACCEPTED,
            "Profiles offered to the target, refusals included.",
            "Bytes of profiles offered to the target.",
        ),
        (
            SENT,
            "Profiles that the target took.",
            "Bytes of profiles that the target took.",
        ),
        (
            DROPPED,
            "Profiles lost, by reason.",
            "Bytes of profiles lost, by reason.",
        ),
        (
            TAKEN_OVER,
            "Profiles received from the shared backlog.",
            "Bytes of profiles received from the shared backlog.",
        ),
        (
            HANDED_OVER,
            "Profiles given to the shared backlog, or given back to it.",
            "Bytes of profiles given to the shared backlog, or given back to it.",
        ),
    ];
    for ([profiles, bytes], of_profiles, of_bytes) in counters {
        describe_counter!(profiles, of_profiles);
        describe_counter!(bytes, Unit::Bytes, of_bytes);
    }
    describe_gauge!(PENDING[0], "Profiles queued or in flight.");
    describe_gauge!(
        PENDING[1],
        Unit::Bytes,
        "Bytes of profiles queued or in flight."
    );
}

/// The account of one target. All series exist, at zero, from the start, those of the shared backlog only if there is one.
#[derive(Debug)]
pub(super) struct AccountSeries {
    accepted: [Counter; 2],
    sent: [Counter; 2],
    pending: [Gauge; 2],
    dropped: Vec<(Reason, [Counter; 2])>,
    /// What was taken over and handed over; `None` if the relay shares no backlog.
    shared: Option<[[Counter; 2]; 2]>,
}

impl AccountSeries {
    pub(super) fn new(target: &str, is_shared: bool) -> Self {
        let counters = |names: [&'static str; 2]| {
            names.map(|name| counter!(name, "target" => target.to_owned()))
        };
        let dropped = |reason: Reason| {
            let counters = DROPPED.map(
                |name| counter!(name, "target" => target.to_owned(), "reason" => reason.as_str()),
            );
            (reason, counters)
        };
        Self {
            accepted: counters(ACCEPTED),
            sent: counters(SENT),
            pending: PENDING.map(|name| gauge!(name, "target" => target.to_owned())),
            dropped: Reason::ALL.into_iter().map(dropped).collect(),
            shared: is_shared.then(|| [TAKEN_OVER, HANDED_OVER].map(counters)),
        }
    }

    pub(super) fn update(&self, counts: &Counts) {
        set(&self.accepted, counts.accepted);
        set(&self.sent, counts.sent);
        for (reason, counters) in &self.dropped {
            set(counters, counts.dropped(*reason));
        }
        if let Some([taken_over, handed_over]) = &self.shared {
            set(taken_over, counts.taken_over);
            set(handed_over, counts.handed_over);
        }
        let [profiles, bytes] = &self.pending;
        profiles.set(float(counts.pending.profiles));
        bytes.set(float(counts.pending.bytes));
    }
}

fn set([profiles, bytes]: &[Counter; 2], tally: Tally) {
    profiles.absolute(tally.profiles);
    bytes.absolute(tally.bytes);
}
