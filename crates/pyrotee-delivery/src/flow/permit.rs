//! A permit for one upload, and how the upload's outcome changes the flow control.

use std::sync::Arc;
use std::time::Duration;

use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::{Lane, Lease, SurfaceId};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::circuit_breaker::{Admission, Closing, Evidence};
use super::concurrency_limit::UploadSample;
use super::{FAILURE_THRESHOLD, FlowControl, FlowState, THROTTLE_THRESHOLD};
use crate::outcome::Outcome;
use crate::status::TargetState;

/// A permit for one upload; the upload's outcome feeds the circuit breakers and the concurrency limit. A permit that is
/// dropped without an outcome changes neither, and its upload no longer counts as in flight.
#[must_use]
#[derive(Debug)]
pub(crate) struct Permit {
    flow: Arc<FlowControl>,
    surface: SurfaceId,
    lane: Lane,
    /// The circuit breakers that this upload probes.
    probing: Breakers,
    /// The upload counts as in flight from here on.
    granted: Instant,
    /// The target's latency counts from here on.
    started: Instant,
    completed: bool,
}

/// A subset of the two circuit breakers that an upload passes: the target's and the surface's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Breakers {
    target: bool,
    surface: bool,
}

/// How one outcome changed the flow control of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowChange {
    /// The target's new state; `None` if the state did not change.
    pub(crate) state: Option<TargetState>,
    /// Whether an outage is over: the pending records could not be delivered in time and become backlog.
    pub(crate) recovered: bool,
    /// Earliest next attempt for this target and surface; `None` if nothing is blocked or a probe is in flight.
    pub(crate) blocked_until: Option<Instant>,
}

impl FlowControl {
    /// Takes a permit for the record of `lease`; `None` if the record must wait because the state has changed
    /// since the plan was made.
    pub(crate) fn permit(self: &Arc<Self>, lease: &Lease) -> Option<Permit> {
        let now = Instant::now();
        let (surface, lane) = (lease.record().head().surface, lease.lane());
        let has_failed = lane == Lane::Failed;
        let mut state = self.lock();
        let by_target = state.target.admission(has_failed, now);
        let by_surface = state.surfaces.get(&surface).map_or(Admission::All, |flow| {
            flow.breaker.admission(has_failed, now)
        });
        let admitted = |admission| matches!(admission, Admission::All | Admission::Probe);
        if !admitted(by_target) || !admitted(by_surface) {
            return None;
        }
        let probing = Breakers {
            target: by_target == Admission::Probe,
            surface: by_surface == Admission::Probe,
        };
        if has_failed && !state.admits_retry(now) && probing == Breakers::default() {
            return None;
        }
        if probing.target {
            state.target.start_probe();
        }
        if probing.surface {
            state.surface_mut(surface).breaker.start_probe();
        }
        if lane == Lane::Backlog && probing == Breakers::default() {
            state.pacer.charge(lease.record().len(), now);
        }
        state.enter(lane);
        if state.untried_in_flight() >= state.concurrency.limit()
            || lane == Lane::Backlog && state.backlog_in_flight >= state.backlog_limit()
        {
            state.limit_reached_at = Some(now);
        }
        Some(Permit {
            flow: Arc::clone(self),
            surface,
            lane,
            probing,
            granted: now,
            started: now,
            completed: false,
        })
    }
}

impl Permit {
    /// Starts the clock of the upload: the time before it, for making the content, is not latency of the target.
    pub(crate) fn start_upload(&mut self) {
        self.started = Instant::now();
    }

    /// Reports the outcome of the upload.
    pub(crate) fn complete(mut self, outcome: &Outcome) -> FlowChange {
        let now = Instant::now();
        let mut state = self.flow.lock();
        let before = state.target_state(now);
        let had_room = state.has_room();
        self.completed = true;
        let sample = UploadSample {
            started: self.started,
            limit_reached: state.limit_reached_at.is_some_and(|at| at >= self.granted),
            in_flight: state.in_flight,
        };
        state.leave(self.lane);
        let recovered = self.apply(&mut state, outcome, sample, now);
        self.pace_retries(&mut state, outcome, now);
        let by_surface = state.surfaces.get(&self.surface);
        let by_surface = by_surface.and_then(|flow| flow.breaker.blocked_until());
        let change = FlowChange {
            state: Some(state.target_state(now)).filter(|after| *after != before),
            recovered,
            blocked_until: state.target.blocked_until().max(by_surface),
        };
        // A success with room before and after it does not change the plan, and making a new plan is expensive.
        let has_room = had_room && state.has_room();
        drop(state);
        let acked = outcome.meaning == Ok(Meaning::Taken);
        let was_probe = self.probing != Breakers::default();
        if !has_room || !acked || was_probe || self.lane == Lane::Failed || change.state.is_some() {
            self.flow.changed.notify_one();
        }
        change
    }

    /// Applies `outcome` to circuit breakers and concurrency limit. Returns whether an outage is over.
    fn apply(
        &self,
        state: &mut FlowState,
        outcome: &Outcome,
        sample: UploadSample,
        now: Instant,
    ) -> bool {
        match outcome.meaning {
            Ok(Meaning::Taken) => {
                state.acked += 1;
                state.surface_mut(self.surface).acked += 1;
                (state.refused, state.refused_since) = (0, None);
                let recovered = self.succeeded(state, now);
                let latency = now.saturating_duration_since(self.started);
                state.concurrency.succeeded(latency, sample, now);
                recovered
            }
            Ok(Meaning::Rejected | Meaning::Unknown) => {
                Self::count_refusal(state, now);
                self.succeeded(state, now)
            }
            Ok(Meaning::Throttled) => self.throttled(state, outcome.pause(), sample, now),
            Ok(Meaning::Transient | Meaning::Ambiguous) if outcome.is_connect() => {
                self.withdraw_surface(state, now);
                self.target_failed(state, Evidence::Conclusive, now);
                false
            }
            Ok(Meaning::RecordLimit) => {
                Self::count_refusal(state, now);
                self.record_failed(state, now);
                false
            }
            Ok(Meaning::Transient | Meaning::Ambiguous) => {
                self.record_failed(state, now);
                false
            }
            Ok(Meaning::Broken) => self.broken(state, outcome.status.is_some(), now),
            Err(_unsendable) => {
                self.withdraw(state, now);
                false
            }
        }
    }

    /// Paces the retries of all records that have failed. While the target accepts nothing, they are retried no faster
    /// than a failing target is probed. While the target accepts records, only each record's own backoff applies.
    fn pace_retries(&self, state: &mut FlowState, outcome: &Outcome, now: Instant) {
        match outcome.meaning {
            Ok(Meaning::Taken | Meaning::Rejected | Meaning::Unknown) => {
                (state.failed_in_row, state.failed_blocked_until) = (0, None);
            }
            Ok(_) => {
                state.retries_early = false;
                if self.lane != Lane::Failed {
                    return;
                }
                state.failed_in_row = state.failed_in_row.saturating_add(1);
                let beyond = state.failed_in_row.checked_sub(FAILURE_THRESHOLD);
                let delay = beyond.map(|beyond| Backoff::FAILING.delay(beyond + 1));
                state.failed_blocked_until = delay.map(|delay| now + delay);
            }
            Err(_unsendable) => {}
        }
    }

    fn succeeded(&self, state: &mut FlowState, now: Instant) -> bool {
        let by_target = self.target_succeeded(state, now);
        self.surface_succeeded(state) || by_target
    }

    fn target_succeeded(&self, state: &mut FlowState, now: Instant) -> bool {
        state.throttled_in_row = 0;
        let recovered = state.target.succeeded(self.probing.target) == Closing::AfterOutage;
        if recovered {
            state.concurrency.restart(now);
        }
        recovered
    }

    fn surface_succeeded(&self, state: &mut FlowState) -> bool {
        let acked = state.acked;
        let flow = state.surface_mut(self.surface);
        flow.others_acked_at_success = acked - flow.acked;
        flow.breaker.succeeded(self.probing.surface) == Closing::AfterOutage
    }

    /// Applies push-back. It counts as the target's once [`THROTTLE_THRESHOLD`] untried records in a row were
    /// throttled; until then the record may be the cause.
    fn throttled(
        &self,
        state: &mut FlowState,
        pause: Option<Duration>,
        sample: UploadSample,
        now: Instant,
    ) -> bool {
        // A target that throttles accepts the surface.
        let recovered = self.surface_succeeded(state);
        state.throttled_in_row += u32::from(self.lane != Lane::Failed);
        let is_target = state.throttled_in_row >= THROTTLE_THRESHOLD && self.lane != Lane::Failed;
        if is_target && state.target.is_closed() {
            state.concurrency.pushed_back(sample, now);
        }
        let evidence = match is_target || self.probing.target {
            true => Evidence::PushBack(pause),
            false => Evidence::Weak,
        };
        self.target_failed(state, evidence, now);
        recovered
    }

    /// Applies a failure whose cause may be the record, its surface, or the target.
    fn record_failed(&self, state: &mut FlowState, now: Instant) {
        let acked = state.acked;
        let flow = state.surface_mut(self.surface);
        // While other surfaces succeed, the target works: then the cause is the surface or the record.
        let others_succeed = acked - flow.acked > flow.others_acked_at_success;
        if self.probing.surface || others_succeed {
            self.surface_failed(state, Evidence::Weak, Backoff::FAILING, now);
        }
        if state.surface_mut(self.surface).breaker.is_closed() || self.probing.target {
            self.target_failed(state, Evidence::Weak, now);
        }
    }

    /// Applies a response that refuses the surface or the record. Without a response, the failure is one of TLS, which
    /// fails for every record.
    fn broken(&self, state: &mut FlowState, responded: bool, now: Instant) -> bool {
        if !responded {
            self.withdraw_target(state, now);
            self.surface_failed(state, Evidence::Conclusive, Backoff::BROKEN, now);
            return false;
        }
        Self::count_refusal(state, now);
        let recovered = self.target_succeeded(state, now);
        self.surface_failed(state, Evidence::Weak, Backoff::BROKEN, now);
        recovered
    }

    fn target_failed(&self, state: &mut FlowState, evidence: Evidence, now: Instant) {
        let (has_failed, is_probe) = (self.lane == Lane::Failed, self.probing.target);
        let backoff = state.fleet.backoff(Backoff::FAILING);
        let breaker = &mut state.target;
        if breaker.failed(evidence, has_failed, is_probe, backoff, now) {
            state.throttled = matches!(evidence, Evidence::PushBack(_));
        }
    }

    fn surface_failed(
        &self,
        state: &mut FlowState,
        evidence: Evidence,
        backoff: Backoff,
        now: Instant,
    ) {
        let (has_failed, is_probe) = (self.lane == Lane::Failed, self.probing.surface);
        let backoff = state.fleet.backoff(backoff);
        let breaker = &mut state.surface_mut(self.surface).breaker;
        let _opened = breaker.failed(evidence, has_failed, is_probe, backoff, now);
    }

    fn count_refusal(state: &mut FlowState, now: Instant) {
        state.refused = state.refused.saturating_add(1);
        state.refused_since.get_or_insert(now);
    }

    /// Ends the probes of this upload without a result.
    fn withdraw(&self, state: &mut FlowState, now: Instant) {
        self.withdraw_target(state, now);
        self.withdraw_surface(state, now);
    }

    fn withdraw_target(&self, state: &mut FlowState, now: Instant) {
        if self.probing.target {
            state.target.withdraw_probe(now);
        }
    }

    fn withdraw_surface(&self, state: &mut FlowState, now: Instant) {
        if self.probing.surface {
            let breaker = &mut state.surface_mut(self.surface).breaker;
            breaker.withdraw_probe(now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.completed {
            return;
        }
        let mut state = self.flow.lock();
        state.leave(self.lane);
        self.withdraw(&mut state, Instant::now());
        drop(state);
        self.flow.changed.notify_one();
    }
}
