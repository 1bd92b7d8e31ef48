//! The series of one target whose values are read at each scrape.

#![expect(
    clippy::disallowed_macros,
    reason = "series are made here and nowhere else"
)]

use std::time::{Duration, SystemTime};

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use pyroscope_wire::Surface;
use pyrotee_admin::TargetView;
use pyrotee_delivery::TargetState;
use pyrotee_queue::Counts;

use super::account::{self, AccountSeries, REMOVED, TARGET_STATE};
use super::series::float;
use crate::targets::ScrapedTarget;

const QUEUE_CAPACITY: &str = "pyroscope_remote_write_queue_capacity";
const QUEUE_PENDING: &str = "pyroscope_remote_write_queue_pending";
const QUEUE_WORKERS: &str = "pyroscope_remote_write_queue_workers_total";
const QUEUE_DROPPED: &str = "pyroscope_remote_write_queue_dropped";

const PENDING_LIMIT: &str = "pyroscope_remote_write_pending_limit_bytes";
const OLDEST_PENDING: &str = "pyroscope_remote_write_oldest_pending_age_seconds";
const TARGET_CONNECTIONS: &str = "pyroscope_remote_write_connections";
const TARGET_OPENED: &str = "pyroscope_remote_write_connections_opened_total";
const IN_FLIGHT: &str = "pyroscope_remote_write_inflight_requests";
const LAST_SUCCESS: &str = "pyroscope_remote_write_last_success_timestamp_seconds";
const LAST_FAILURE: &str = "pyroscope_remote_write_last_failure_timestamp_seconds";
const CERTIFICATE_EXPIRY: &str =
    "pyroscope_remote_write_target_certificate_expiry_timestamp_seconds";
const TARGET_INFO: &str = "pyroscope_remote_write_target_info";

const SURFACE_SUSPENDED: &str = "pyroscope_remote_write_surface_suspended";
const CONCURRENCY_LIMIT: &str = "pyroscope_remote_write_concurrency_limit";
const ATTEMPTS: &str = "pyroscope_remote_write_attempts_total";

/// Registers the help texts of the series.
pub(super) fn describe() {
    describe_gauge!(QUEUE_CAPACITY, "Profiles that the target's queue can hold.");
    describe_gauge!(QUEUE_PENDING, "Profiles queued or in flight.");
    describe_gauge!(QUEUE_WORKERS, "Maximum number of uploads at once.");
    describe_counter!(QUEUE_DROPPED, "Profiles not accepted into the queue.");
    account::describe();
    describe_gauge!(
        PENDING_LIMIT,
        Unit::Bytes,
        "Bytes of profiles that may be pending."
    );
    describe_gauge!(
        OLDEST_PENDING,
        Unit::Seconds,
        "Age of the oldest pending profile; 0: none."
    );
    describe_gauge!(TARGET_CONNECTIONS, "Open connections to the target.");
    describe_counter!(TARGET_OPENED, "Connections opened to the target.");
    describe_gauge!(
        TARGET_INFO,
        "1, with the address and the tenant of the target as labels."
    );
    describe_gauge!(IN_FLIGHT, "Uploads in flight.");
    describe_gauge!(
        LAST_SUCCESS,
        Unit::Seconds,
        "Unix time at which the target last acknowledged a profile; 0: never."
    );
    describe_gauge!(
        LAST_FAILURE,
        Unit::Seconds,
        "Unix time at which an upload last failed; 0: never."
    );
    describe_gauge!(
        CERTIFICATE_EXPIRY,
        Unit::Seconds,
        "When the certificate expires that the target showed last; 0: none seen."
    );
    describe_gauge!(
        TARGET_STATE,
        "1 for the state of the target, 0 for the others; removed is 1 beside the state while a removed target has pending profiles."
    );
    describe_gauge!(
        SURFACE_SUSPENDED,
        "1 while uploads of a surface are held back because the target refuses them all."
    );
    describe_gauge!(
        CONCURRENCY_LIMIT,
        "Current limit on the number of uploads in flight."
    );
    describe_counter!(ATTEMPTS, "Uploads tried, retries included.");
}

/// The series of one target that are read at each scrape.
#[derive(Debug)]
pub(super) struct TargetSeries {
    account: AccountSeries,
    addressed: AddressedSeries,
    pending_limit: Gauge,
    oldest: Gauge,
    connections: Gauge,
    opened: Counter,
    states: [(TargetState, Gauge); TargetState::ALL.len()],
    /// 1 while the target is removed and has pending profiles.
    removed: Gauge,
    /// By the name of the surface.
    suspended: Vec<(&'static str, Gauge)>,
    in_flight: Gauge,
    last_success: Gauge,
    last_failure: Gauge,
    certificate_expiry: Gauge,
    limit: Gauge,
    attempts: Counter,
}

impl TargetSeries {
    /// Creates the series of the target. `is_shared`: the relay shares a backlog.
    pub(super) fn new(target: &ScrapedTarget, is_shared: bool) -> Self {
        let name = target.view.name.clone();
        let gauge = |series: &'static str| gauge!(series, "target" => name.clone());
        let state =
            |state: &'static str| gauge!(TARGET_STATE, "target" => name.clone(), "state" => state);
        let suspended = |surface: &'static str| {
            let gauge = gauge!(SURFACE_SUSPENDED, "target" => name.clone(), "surface" => surface);
            (surface, gauge)
        };
        Self {
            account: AccountSeries::new(&name, is_shared),
            addressed: AddressedSeries::new(Labels::of(target)),
            pending_limit: gauge(PENDING_LIMIT),
            oldest: gauge(OLDEST_PENDING),
            connections: gauge(TARGET_CONNECTIONS),
            opened: counter!(TARGET_OPENED, "target" => name.clone()),
            states: TargetState::ALL.map(|it| (it, state(it.as_str()))),
            removed: state(REMOVED),
            suspended: Surface::NAMES.into_iter().map(suspended).collect(),
            in_flight: gauge(IN_FLIGHT),
            last_success: gauge(LAST_SUCCESS),
            last_failure: gauge(LAST_FAILURE),
            certificate_expiry: gauge(CERTIFICATE_EXPIRY),
            limit: gauge(CONCURRENCY_LIMIT),
            attempts: counter!(ATTEMPTS, "target" => name.clone()),
        }
    }

    /// The labels of the series that name the target's address.
    pub(super) fn labels(&self) -> &Labels {
        &self.addressed.labels
    }

    /// Copies the numbers of the target into the series. Returns the labels of series that the target had under another
    /// address or tenant and has no more.
    pub(super) fn update(&mut self, target: &ScrapedTarget) -> Option<Labels> {
        let labels = Labels::of(target);
        let outdated = (labels != self.addressed.labels).then(|| {
            self.addressed.clear();
            std::mem::replace(&mut self.addressed, AddressedSeries::new(labels)).labels
        });
        let view = &target.view;
        let counts = view.counts();
        self.account.update(&counts);
        self.addressed.update(view, &counts);
        self.pending_limit.set(float(view.limits.bytes));
        self.oldest.set(view.oldest().unwrap_or_default());
        self.connections.set(float(target.connections.open()));
        self.opened.absolute(target.connections.opened());
        self.removed
            .set(flag(target.is_removed && counts.pending.profiles > 0));
        if target.ended_at.is_some() {
            self.clear();
            return outdated;
        }
        let status = view.monitor.status();
        for (state, gauge) in &self.states {
            gauge.set(flag(*state == status.state));
        }
        for (surface, gauge) in &self.suspended {
            let mut suspended = status.suspended.iter();
            gauge.set(flag(suspended.any(|it| it.surface.name() == *surface)));
        }
        self.in_flight.set(float(status.in_flight as u64));
        self.last_success.set(since_epoch(status.last_success));
        let failed = status.last_error.map(|error| error.at);
        self.last_failure.set(since_epoch(failed));
        self.certificate_expiry
            .set(since_epoch(status.certificate_expiry));
        self.limit.set(float(status.limit as u64));
        self.attempts.absolute(status.attempts);
        outdated
    }

    /// Sets the gauges of the delivery to zero: it has ended.
    pub(super) fn clear(&self) {
        let states = self.states.iter().map(|(_, gauge)| gauge);
        let suspended = self.suspended.iter().map(|(_, gauge)| gauge);
        let others = [
            &self.oldest,
            &self.connections,
            &self.in_flight,
            &self.certificate_expiry,
            &self.limit,
        ];
        for gauge in states.chain(suspended).chain(others) {
            gauge.set(0);
        }
        self.addressed.clear();
    }
}

/// The labels of the series that name the target's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels {
    pub(super) target: String,
    pub(super) address: String,
    pub(super) tenant: String,
}

impl Labels {
    fn of(target: &ScrapedTarget) -> Self {
        Self {
            target: target.view.name.clone(),
            address: target.view.address.clone(),
            tenant: target.view.tenant.clone().unwrap_or_default(),
        }
    }
}

/// The series of one target that name its address, of which Pyroscope 0.37 had most.
#[derive(Debug)]
struct AddressedSeries {
    labels: Labels,
    capacity: Gauge,
    workers: Gauge,
    pending: Gauge,
    dropped: Counter,
}

impl AddressedSeries {
    fn new(labels: Labels) -> Self {
        let Labels {
            target,
            address,
            tenant,
        } = labels.clone();
        let legacy = [
            ("target_name", target.clone()),
            ("target_address", address.clone()),
        ];
        gauge!(TARGET_INFO, "target" => target, "address" => address, "tenant" => tenant).set(1);
        Self {
            labels,
            capacity: gauge!(QUEUE_CAPACITY, &legacy),
            workers: gauge!(QUEUE_WORKERS, &legacy),
            pending: gauge!(QUEUE_PENDING, &legacy),
            dropped: counter!(QUEUE_DROPPED, &legacy),
        }
    }

    fn update(&self, view: &TargetView, counts: &Counts) {
        self.capacity.set(float(view.limits.records as u64));
        self.workers.set(float(view.workers as u64));
        self.pending.set(float(counts.pending.profiles));
        self.dropped.absolute(counts.refused.profiles);
    }

    /// Sets the gauges to zero: the target has another address or tenant.
    fn clear(&self) {
        for gauge in [&self.capacity, &self.workers, &self.pending] {
            gauge.set(0);
        }
    }
}

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}

/// Unix time; 0 for never.
pub(super) fn since_epoch(at: Option<SystemTime>) -> Duration {
    let since = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.unwrap_or_default()
}
