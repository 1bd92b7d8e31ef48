//! Flow control of one target: which records may be sent now, and how many at once.
//!
//! Flow control consists of a circuit breaker for the target, one for each surface, which suspends a surface that the
//! target refuses as a whole, a concurrency limit, and the pacing of the backlog. It depends on neither the queue nor
//! the network: the deliverer asks for a [`LeasePlan`], takes a [`Permit`] for each leased record, and reports each
//! outcome to the permit.
//!
//! The upload of another record shows whether the record or the target causes a failure: see `circuit_breaker`. Records
//! that have failed are in their own lane, with a share of the permits, so that they do not hold back untried records.
//!
//! Invariants:
//!
//! - While a circuit breaker is open, at most one upload at a time passes it: its probe.
//! - Every [`Permit`] counts as one upload in flight until [`Permit::complete`] is called or the permit is dropped.

mod backoff;
mod change;
mod circuit_breaker;
mod concurrency_limit;
mod fleet;
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
use fleet::FleetShare;
use pacer::Pacer;
pub(crate) use permit::{FlowChange, Permit};
pub(crate) use plan::LeasePlan;

/// A circuit breaker opens when this many different records have failed without a success in between. Fewer failures
/// may be the fault of the records.
const FAILURE_THRESHOLD: u32 = 5;

/// Uploads to the target pause when this many untried records were throttled without a success in between.
const THROTTLE_THRESHOLD: u32 = 2;

/// A target is *rejecting* after this many refused profiles without an accepted one, if the first refusal is at least
/// [`REJECTING_AFTER`] ago.
const REJECTING_PROFILES: u32 = 3;

/// Shortest time since the first refusal for a target to be *rejecting*: see [`REJECTING_PROFILES`].
const REJECTING_AFTER: Duration = Duration::from_secs(60);

/// How long [`FlowSnapshot::at_ceiling`] stays true after uploads last reached the concurrency limit.
const CEILING_SHOWN_FOR: Duration = Duration::from_secs(60);

/// Flow control of one target, shared by its deliverer and all permits.
#[derive(Debug)]
pub(crate) struct FlowControl {
    state: Mutex<FlowState>,
    /// Notified when the last plan may be out of date.
    changed: Notify,
}

#[derive(Debug)]
struct FlowState {
    target: CircuitBreaker,
    /// The surfaces on which a record was sent.
    surfaces: BTreeMap<SurfaceId, SurfaceFlow>,
    /// The target's circuit breaker last opened because of push-back.
    throttled: bool,
    /// Untried records that were throttled since the last success.
    throttled_in_row: u32,
    concurrency: ConcurrencyLimit,
    pacer: Pacer,
    fleet: FleetShare,
    in_flight: usize,
    backlog_in_flight: usize,
    failed_in_flight: usize,
    /// Failures of records that had failed before, since the target last acknowledged or rejected a record.
    failed_in_row: u32,
    /// Earliest next upload of a record that has failed, while the target accepts nothing.
    failed_blocked_until: Option<Instant>,
    /// When the uploads in flight last reached a limit.
    limit_reached_at: Option<Instant>,
    /// Records that the target acknowledged.
    acked: u64,
    /// Profiles that the target refused since it last accepted one, and when it refused the first.
    refused: u32,
    refused_since: Option<Instant>,
    /// Records that have failed may be retried before they are due: see [`FlowControl::renewed`].
    retries_early: bool,
}

/// Flow control of one surface of the target.
#[derive(Debug)]
struct SurfaceFlow {
    breaker: CircuitBreaker,
    /// Records of the surface that the target acknowledged.
    acked: u64,
    /// Records of other surfaces that the target had acknowledged when an upload of this surface last succeeded.
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
    /// Flow control for at most `max_uploads` at once, and `replay_rate` bytes per second of backlog.
    pub(crate) fn new(max_uploads: usize, replay_rate: Option<NonZeroU64>) -> Arc<Self> {
        Self::with_state(FlowState::new(max_uploads, FleetShare::alone(replay_rate)))
    }

    fn with_state(state: FlowState) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// Which records may be leased now.
    pub(crate) fn plan(&self) -> LeasePlan {
        self.lock().plan(Instant::now())
    }

    /// Waits until the last plan may be out of date for another reason than the passing of time.
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
    fn new(max_uploads: usize, fleet: FleetShare) -> Self {
        Self {
            target: CircuitBreaker::new(FAILURE_THRESHOLD),
            surfaces: BTreeMap::new(),
            throttled: false,
            throttled_in_row: 0,
            concurrency: ConcurrencyLimit::new(max_uploads),
            pacer: Pacer::new(fleet.replay_rate()),
            fleet,
            in_flight: 0,
            backlog_in_flight: 0,
            failed_in_flight: 0,
            failed_in_row: 0,
            failed_blocked_until: None,
            limit_reached_at: None,
            acked: 0,
            refused: 0,
            refused_since: None,
            retries_early: false,
        }
    }

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

    /// The flow control of a surface, which the first call for the surface creates.
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

    /// Whether one more upload of a record that has failed may start. While the target accepts nothing, retries are
    /// paced and sent one at a time: all retries that are due would start together otherwise.
    fn admits_retry(&self, now: Instant) -> bool {
        let is_blocked = self.failed_blocked_until.is_some_and(|until| until > now);
        let waits_for_other = self.failed_in_row >= FAILURE_THRESHOLD && self.failed_in_flight > 0;
        !(is_blocked || waits_for_other)
    }

    /// Whether one more upload of an untried record may start, from either lane.
    fn has_room(&self) -> bool {
        self.untried_in_flight() < self.concurrency.limit()
            && self.in_flight < self.concurrency.max()
            && self.backlog_in_flight < self.backlog_limit()
    }

    /// Most uploads of backlog at once: half of the limit, so that fresh records never wait for backlog.
    fn backlog_limit(&self) -> usize {
        (self.concurrency.limit() / 2).max(1)
    }
}
