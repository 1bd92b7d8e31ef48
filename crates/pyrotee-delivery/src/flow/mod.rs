//! Flow control of one target: which records may be sent now, and how many at once.
//!
//! It consists of a circuit breaker for the target, one for each surface that the target refuses as a whole, a
//! concurrency limit, and the pacing of the backlog. It knows neither queue nor network: the deliverer asks for
//! a [`LeasePlan`], takes a [`Permit`] for each leased record, and reports each outcome to the permit.
//!
//! Whose fault a failure is, is found out by trying another record: see `circuit_breaker`. Records that have failed
//! are a lane of their own, with a share of the permits, so that they hold back no untried one.
//!
//! Invariants:
//!
//! - While a circuit breaker is open, at most one upload at a time passes it: its probe.
//! - Every [`Permit`] gives its place back, by [`Permit::complete`] or by being dropped.

mod backoff;
mod circuit_breaker;
mod concurrency_limit;
mod pacer;
mod permit;
mod plan;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pyrotee_queue::{Lane, SurfaceId, lock};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::status::TargetState;

pub(crate) use backoff::Backoff;
use circuit_breaker::CircuitBreaker;
use concurrency_limit::ConcurrencyLimit;
use pacer::Pacer;
pub(crate) use permit::{FlowChange, Permit};
pub(crate) use plan::LeasePlan;

/// Different records that must fail, with no success between, for a circuit breaker to open: fewer may be the
/// records' fault.
const FAILURE_THRESHOLD: u32 = 5;

/// Untried records that must be throttled, with no success between, for the target as a whole to be paused.
const THROTTLE_THRESHOLD: u32 = 2;

/// Refused profiles without an accepted one that make a target *rejecting* …
const REJECTING_PROFILES: u32 = 3;

/// … once the first of them is this old.
const REJECTING_AFTER: Duration = Duration::from_secs(60);

/// How long after the limit was last reached `queue-workers` counts as the ceiling.
const CEILING_SHOWN_FOR: Duration = Duration::from_secs(60);

/// Flow control of one target, shared by its deliverer and all permits.
#[derive(Debug)]
pub(crate) struct FlowControl {
    state: Mutex<FlowState>,
    /// Notified when the last plan may have become wrong.
    changed: Notify,
}

#[derive(Debug)]
struct FlowState {
    target: CircuitBreaker,
    /// The surfaces of which a record was sent.
    surfaces: BTreeMap<SurfaceId, SurfaceFlow>,
    /// The target's circuit breaker opened last because the target asked for a pause.
    throttled: bool,
    /// Untried records that were throttled since the last success.
    throttled_in_row: u32,
    concurrency: ConcurrencyLimit,
    pacer: Pacer,
    in_flight: usize,
    backlog_in_flight: usize,
    failed_in_flight: usize,
    /// Failures of records that had failed before, since the last success.
    failed_in_row: u32,
    /// Earliest next upload of such a record while the target accepts nothing.
    failed_blocked_until: Option<Instant>,
    /// When the uploads in flight last reached a limit.
    limit_reached_at: Option<Instant>,
    /// Records that the target acknowledged.
    acked: u64,
    /// Profiles that the target refused since it last accepted one, and when it refused the first.
    refused: u32,
    refused_since: Option<Instant>,
}

/// Flow control of one surface of the target.
#[derive(Debug)]
struct SurfaceFlow {
    breaker: CircuitBreaker,
    /// Records of the surface that the target acknowledged.
    acked: u64,
    /// Records of other surfaces that the target had acknowledged when this one last succeeded.
    others_acked_at_success: u64,
}

/// The state of a [`FlowControl`] for metrics and the status page.
#[derive(Debug, Clone)]
pub(crate) struct FlowSnapshot {
    pub(crate) state: TargetState,
    /// Time until the next probe of the target; `None` if no upload is blocked, or a probe is in flight.
    pub(crate) next_try: Option<Duration>,
    /// The suspended surfaces, each with the time until its next probe.
    pub(crate) suspended: Vec<(SurfaceId, Option<Duration>)>,
    pub(crate) in_flight: usize,
    pub(crate) limit: usize,
    /// The limit is as high as `queue-workers` allows, and was reached within the last minute.
    pub(crate) at_ceiling: bool,
}

impl FlowControl {
    /// For at most `max_uploads` at once, and `replay_rate` bytes per second of backlog.
    pub(crate) fn new(max_uploads: usize, replay_rate: Option<NonZeroU64>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(FlowState {
                target: CircuitBreaker::new(FAILURE_THRESHOLD),
                surfaces: BTreeMap::new(),
                throttled: false,
                throttled_in_row: 0,
                concurrency: ConcurrencyLimit::new(max_uploads),
                pacer: Pacer::new(replay_rate),
                in_flight: 0,
                backlog_in_flight: 0,
                failed_in_flight: 0,
                failed_in_row: 0,
                failed_blocked_until: None,
                limit_reached_at: None,
                acked: 0,
                refused: 0,
                refused_since: None,
            }),
            changed: Notify::new(),
        })
    }

    /// Which records may be leased now.
    pub(crate) fn plan(&self) -> LeasePlan {
        self.lock().plan(Instant::now())
    }

    /// Waits until the last plan may have become wrong for another reason than the time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Number of records of `surface` that the target acknowledged.
    pub(crate) fn acked(&self, surface: SurfaceId) -> u64 {
        let state = self.lock();
        state.surfaces.get(&surface).map_or(0, |flow| flow.acked)
    }

    pub(crate) fn snapshot(&self) -> FlowSnapshot {
        let now = Instant::now();
        let wait = |breaker: &CircuitBreaker| {
            let at = breaker.blocked_until();
            at.map(|at| at.saturating_duration_since(now))
        };
        let state = self.lock();
        let suspended = state
            .surfaces
            .iter()
            .filter(|(_, flow)| flow.breaker.is_outage());
        let limit_reached = state.limit_reached_at;
        let reached_lately =
            limit_reached.is_some_and(|at| now.saturating_duration_since(at) < CEILING_SHOWN_FOR);
        FlowSnapshot {
            state: state.target_state(now),
            next_try: wait(&state.target),
            suspended: suspended
                .map(|(surface, flow)| (*surface, wait(&flow.breaker)))
                .collect(),
            in_flight: state.in_flight,
            limit: state.concurrency.limit(),
            at_ceiling: reached_lately && state.concurrency.limit() >= state.concurrency.max(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, FlowState> {
        lock(&self.state)
    }
}

impl FlowState {
    fn target_state(&self, now: Instant) -> TargetState {
        if self.surfaces.values().any(|flow| flow.breaker.is_outage()) {
            TargetState::Suspended
        } else if self.target.is_outage() {
            match self.throttled {
                true => TargetState::Throttled,
                false => TargetState::Open,
            }
        } else if self.is_rejecting(now) {
            TargetState::Rejecting
        } else {
            TargetState::Healthy
        }
    }

    fn is_rejecting(&self, now: Instant) -> bool {
        let since = self.refused_since;
        self.refused >= REJECTING_PROFILES
            && since.is_some_and(|at| now.saturating_duration_since(at) >= REJECTING_AFTER)
    }

    /// The flow control of a surface, from its first upload on.
    fn surface_mut(&mut self, surface: SurfaceId) -> &mut SurfaceFlow {
        self.surfaces.entry(surface).or_insert_with(|| SurfaceFlow {
            breaker: CircuitBreaker::new(FAILURE_THRESHOLD),
            acked: 0,
            others_acked_at_success: 0,
        })
    }

    /// Counts an upload that starts.
    fn enter(&mut self, lane: Lane) {
        self.in_flight += 1;
        self.backlog_in_flight += usize::from(lane == Lane::Backlog);
        self.failed_in_flight += usize::from(lane == Lane::Failed);
    }

    /// Counts an upload that has ended.
    fn leave(&mut self, lane: Lane) {
        self.in_flight -= 1;
        self.backlog_in_flight -= usize::from(lane == Lane::Backlog);
        self.failed_in_flight -= usize::from(lane == Lane::Failed);
    }

    fn untried_in_flight(&self) -> usize {
        self.in_flight - self.failed_in_flight
    }

    /// Whether one more record that has failed may start. While the target accepts nothing, retries are paced, and
    /// then the next one waits for the end of the one before: all that are due would start together otherwise.
    fn admits_retry(&self, now: Instant) -> bool {
        let is_blocked = self.failed_blocked_until.is_some_and(|until| until > now);
        let waits_for_other = self.failed_in_row >= FAILURE_THRESHOLD && self.failed_in_flight > 0;
        !(is_blocked || waits_for_other)
    }

    /// Whether one more untried record may start, from either lane.
    fn has_room(&self) -> bool {
        self.untried_in_flight() < self.concurrency.limit()
            && self.in_flight < self.concurrency.max()
            && self.backlog_in_flight < self.backlog_limit()
    }

    /// Half of the limit, so that fresh records never wait for backlog.
    fn backlog_limit(&self) -> usize {
        (self.concurrency.limit() / 2).max(1)
    }
}
