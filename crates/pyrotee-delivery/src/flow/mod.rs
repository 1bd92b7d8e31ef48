//! Flow control of one target: which records may be sent now, and how many at once.
//!
//! It consists of a circuit breaker for the target, one for each surface that the target refuses as a whole, a
//! concurrency limit, and the pacing of the backlog. It knows neither queue nor network: the deliverer asks for
//! a [`LeasePlan`], takes a [`Permit`] for each leased record, and reports each outcome to the permit.
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

use pyrotee_queue::{SurfaceId, lock};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::status::TargetState;

pub(crate) use backoff::Backoff;
use circuit_breaker::CircuitBreaker;
use concurrency_limit::ConcurrencyLimit;
use pacer::Pacer;
pub(crate) use permit::{FlowChange, Permit};
pub(crate) use plan::LeasePlan;

/// Consecutive failures that open the target's circuit breaker: fewer may be the records' fault.
const FAILURE_THRESHOLD: u32 = 5;

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
    /// Only the surfaces that the target has ever refused as a whole.
    surfaces: BTreeMap<SurfaceId, CircuitBreaker>,
    /// The target's circuit breaker opened last because the target asked for a pause.
    throttled: bool,
    concurrency: ConcurrencyLimit,
    pacer: Pacer,
    in_flight: usize,
    backlog_in_flight: usize,
    /// When the uploads in flight last reached a limit.
    limit_reached_at: Option<Instant>,
    /// Records that the target acknowledged.
    acked: u64,
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
}

impl FlowControl {
    /// For at most `max_uploads` at once, and `replay_rate` bytes per second of backlog.
    pub(crate) fn new(max_uploads: usize, replay_rate: Option<NonZeroU64>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(FlowState {
                target: CircuitBreaker::new(Backoff::FAILING, FAILURE_THRESHOLD),
                surfaces: BTreeMap::new(),
                throttled: false,
                concurrency: ConcurrencyLimit::new(max_uploads),
                pacer: Pacer::new(replay_rate),
                in_flight: 0,
                backlog_in_flight: 0,
                limit_reached_at: None,
                acked: 0,
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

    /// Number of records that the target acknowledged.
    pub(crate) fn acked(&self) -> u64 {
        self.lock().acked
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
            .filter(|(_, breaker)| !breaker.is_closed());
        FlowSnapshot {
            state: state.target_state(),
            next_try: wait(&state.target),
            suspended: suspended
                .map(|(surface, breaker)| (*surface, wait(breaker)))
                .collect(),
            in_flight: state.in_flight,
            limit: state.concurrency.limit(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, FlowState> {
        lock(&self.state)
    }
}

impl FlowState {
    fn target_state(&self) -> TargetState {
        if self.surfaces.values().any(|breaker| !breaker.is_closed()) {
            TargetState::Suspended
        } else if self.target.is_closed() {
            TargetState::Healthy
        } else if self.throttled {
            TargetState::Throttled
        } else {
            TargetState::Open
        }
    }

    /// Counts an upload that starts.
    fn enter(&mut self, is_backlog: bool) {
        self.in_flight += 1;
        self.backlog_in_flight += usize::from(is_backlog);
    }

    /// Counts an upload that has ended.
    fn leave(&mut self, is_backlog: bool) {
        self.in_flight -= 1;
        self.backlog_in_flight -= usize::from(is_backlog);
    }

    /// Whether another upload may start, of either lane.
    fn has_room(&self) -> bool {
        self.in_flight < self.concurrency.limit() && self.backlog_in_flight < self.backlog_limit()
    }

    /// Half of the concurrency limit, so that fresh records never wait for a place behind the backlog.
    fn backlog_limit(&self) -> usize {
        (self.concurrency.limit() / 2).max(1)
    }
}
