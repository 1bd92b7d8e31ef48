//! The metrics of pull mode, per job.

#![expect(
    clippy::disallowed_macros,
    reason = "this module makes all series of the crate"
)]

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// Jobs that were started; the name is Pyroscope 0.37's, as are all that begin with `pyroscope_scrape`.
pub const POOLS: &str = "pyroscope_scrape_target_pools_total";
/// Times a changed job was put in force.
pub const RELOADS: &str = "pyroscope_scrape_target_pool_reloads_total";
/// Times the loops of a job were matched with its scrape targets.
pub const SYNCS: &str = "pyroscope_scrape_target_pool_sync_total";
/// Requests to scrape targets.
pub const SCRAPES: &str = "pyroscope_scrape_target_pool_scrapes_total";
/// Requests to scrape targets that got no profile.
pub const SCRAPES_FAILED: &str = "pyroscope_scrape_target_pool_scrapes_failed_total";
/// Loops that run.
pub const TARGETS: &str = "pyroscope_scrape_target_pool_targets";
/// Time between two scrapes of a loop.
pub const INTERVAL_LENGTH: &str = "pyroscope_scrape_target_pool_scrape_interval_length_seconds";
/// Length of a profile as it was received.
pub const PROFILE_SIZE: &str = "pyroscope_scrape_target_profile_size_bytes";
/// Stacks of a profile that is sent as a delta.
pub const PROFILE_SAMPLES: &str = "pyroscope_scrape_target_profile_samples";
/// Time of a request to a scrape target.
pub const DURATION: &str = "pyroscope_scrape_target_scrape_duration_seconds";
/// Scrapes that sent nothing, and were no failure.
pub const SKIPPED: &str = "pyroscope_relay_scrape_skipped_total";
/// Scrapes that failed.
pub const FAILURES: &str = "pyroscope_relay_scrape_failures_total";
/// Memory of the baselines.
pub const STATE_BYTES: &str = "pyroscope_relay_scrape_state_bytes";

/// Registers the description of each series.
pub fn describe() {
    crate::discovery::describe();
    describe_counter!(POOLS, "Jobs of pull mode that were started.");
    describe_counter!(RELOADS, "Changes of a job that were put in force.");
    describe_counter!(
        SYNCS,
        "Times the loops of a job were matched with its scrape targets."
    );
    describe_counter!(SCRAPES, "Requests to scrape targets.");
    describe_counter!(
        SCRAPES_FAILED,
        "Requests to scrape targets that got no profile."
    );
    describe_gauge!(TARGETS, "Loops that run: scrape targets times profiles.");
    describe_histogram!(
        INTERVAL_LENGTH,
        Unit::Seconds,
        "Time between the beginnings of two scrapes of a loop."
    );
    describe_histogram!(
        PROFILE_SIZE,
        Unit::Bytes,
        "Length of a profile as it was received, by path."
    );
    describe_histogram!(
        PROFILE_SAMPLES,
        "Stacks of a scraped profile of which the delta is sent, by path."
    );
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "Time of a request to a scrape target, by path."
    );
    describe_counter!(
        SKIPPED,
        "Scrapes that sent nothing although nothing failed, by reason."
    );
    describe_counter!(FAILURES, "Scrapes that failed, by reason.");
    describe_gauge!(
        STATE_BYTES,
        Unit::Bytes,
        "Memory of the baselines of all jobs, which state-limit bounds."
    );
}

/// Why a scrape sent nothing although nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The first profile of a loop is the baseline of the next one.
    First,
    /// Nothing happened since the last profile.
    Empty,
    /// `memory-limit` has no room.
    Budget,
    /// The scrape before had not ended.
    Overrun,
    /// The application was restarted: cumulative values count 0 this time.
    Reset,
    /// `state-limit` has no room for a baseline.
    State,
    /// `max-targets` is reached: the loop does not run.
    Limit,
}

impl Skip {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::First,
        Self::Empty,
        Self::Budget,
        Self::Overrun,
        Self::Reset,
        Self::State,
        Self::Limit,
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Empty => "empty",
            Self::Budget => "budget",
            Self::Overrun => "overrun",
            Self::Reset => "reset",
            Self::State => "state",
            Self::Limit => "limit",
        }
    }
}

/// Why a scrape failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The application could not be reached, or the connection broke.
    Connect,
    /// The time limit of the request ran out.
    Timeout,
    /// The status is not 200, or a redirect is not followed.
    Status,
    /// The body is longer than a limit, as it is or unpacked.
    TooLarge,
    /// The body is no profile: a page, JSON, text, cut gzip.
    NotPprof,
    /// The profile cannot be read for a delta, or the relay panicked over it.
    Delta,
    /// The relay's own stack refused the profile.
    Refused,
}

impl Failure {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Timeout,
        Self::Status,
        Self::TooLarge,
        Self::NotPprof,
        Self::Delta,
        Self::Refused,
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::NotPprof => "not_pprof",
            Self::Delta => "delta",
            Self::Refused => "refused",
        }
    }
}

/// The series of one job. The series of a known job go on.
#[derive(Debug)]
pub(crate) struct JobMetrics {
    job: String,
    pub(crate) pools: Counter,
    pub(crate) reloads: Counter,
    pub(crate) syncs: Counter,
    pub(crate) scrapes: Counter,
    pub(crate) scrapes_failed: Counter,
    pub(crate) targets: Gauge,
    pub(crate) interval_length: Histogram,
    skipped: [Counter; Skip::ALL.len()],
    failures: [Counter; Failure::ALL.len()],
}

/// The series of one profile of a job.
#[derive(Debug, Clone)]
pub(crate) struct ProfileMetrics {
    pub(crate) size: Histogram,
    pub(crate) samples: Histogram,
    pub(crate) duration: Histogram,
}

impl JobMetrics {
    pub(crate) fn new(job: &str) -> Self {
        let job = job.to_owned();
        Self {
            pools: counter!(POOLS, "scrape_job" => job.clone()),
            reloads: counter!(RELOADS, "scrape_job" => job.clone()),
            syncs: counter!(SYNCS, "scrape_job" => job.clone()),
            scrapes: counter!(SCRAPES, "scrape_job" => job.clone()),
            scrapes_failed: counter!(SCRAPES_FAILED, "scrape_job" => job.clone()),
            targets: gauge!(TARGETS, "scrape_job" => job.clone()),
            interval_length: histogram!(INTERVAL_LENGTH, "scrape_job" => job.clone()),
            skipped: Skip::ALL.map(|reason| {
                counter!(SKIPPED, "scrape_job" => job.clone(), "reason" => reason.as_str())
            }),
            failures: Failure::ALL.map(|reason| {
                counter!(FAILURES, "scrape_job" => job.clone(), "reason" => reason.as_str())
            }),
            job,
        }
    }

    /// The series of the profile with this path in the job. Paths come from the configuration, not from labels.
    pub(crate) fn profile(&self, path: &str) -> ProfileMetrics {
        let (job, path) = (&self.job, path.to_owned());
        ProfileMetrics {
            size: histogram!(PROFILE_SIZE, "scrape_job" => job.clone(), "profile_path" => path.clone()),
            samples: histogram!(PROFILE_SAMPLES, "scrape_job" => job.clone(), "profile_path" => path.clone()),
            duration: histogram!(DURATION, "scrape_job" => job.clone(), "profile_path" => path),
        }
    }

    pub(crate) fn skipped(&self, reason: Skip, times: u64) {
        if let Some(counter) = self.skipped.get(reason as usize) {
            counter.increment(times);
        }
    }

    pub(crate) fn failed(&self, reason: Failure) {
        if let Some(counter) = self.failures.get(reason as usize) {
            counter.increment(1);
        }
    }
}

/// The series of the memory of all baselines.
pub(crate) fn state_bytes() -> Gauge {
    gauge!(STATE_BYTES)
}
