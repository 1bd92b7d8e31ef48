//! A permit for one upload, and how its outcome changes the flow control.

use std::sync::Arc;

use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::{Lane, Lease, SurfaceId};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::circuit_breaker::{Admission, CircuitBreaker, Evidence};
use super::concurrency_limit::UploadSample;
use super::{FlowControl, FlowState};
use crate::outcome::Outcome;
use crate::status::TargetState;

/// A permit for one upload; its outcome feeds the circuit breakers and the concurrency limit. A permit that is
/// dropped without an outcome changes neither and gives its place back.
#[must_use]
#[derive(Debug)]
pub(crate) struct Permit {
    flow: Arc<FlowControl>,
    surface: SurfaceId,
    is_backlog: bool,
    /// The circuit breakers that this upload probes.
    probing: Breakers,
    /// The circuit breakers that this upload probed when its outcome was reported.
    probed: Breakers,
    started: Instant,
    completed: bool,
}

/// What one outcome changed for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowChange {
    /// The target's new state; `None` if it is the same as before.
    pub(crate) state: Option<TargetState>,
    /// A circuit breaker closed: the pending records could not be delivered in time and are backlog.
    pub(crate) recovered: bool,
    /// Earliest next attempt for this target and surface; `None` if nothing is blocked or a probe is in flight.
    pub(crate) blocked_until: Option<Instant>,
}

impl FlowControl {
    /// Takes a permit for the record of `lease`; `None` if the record must wait because the state has changed
    /// since the plan was made.
    pub(crate) fn permit(self: &Arc<Self>, lease: &Lease) -> Option<Permit> {
        let now = Instant::now();
        let surface = lease.record().head().surface;
        let mut state = self.lock();
        let by_target = state.target.admission(now);
        let by_surface = state
            .surfaces
            .get(&surface)
            .map_or(Admission::All, |breaker| breaker.admission(now));
        let admitted = |admission| matches!(admission, Admission::All | Admission::Probe);
        if !admitted(by_target) || !admitted(by_surface) {
            return None;
        }
        let probing = Breakers {
            target: by_target == Admission::Probe,
            surface: by_surface == Admission::Probe,
        };
        state.start_probe(probing, surface);
        let is_backlog = lease.lane() == Lane::Backlog;
        if is_backlog && !probing.any() {
            state.pacer.charge(lease.record().len(), now);
        }
        state.enter(is_backlog);
        if state.in_flight >= state.concurrency.limit()
            || is_backlog && state.backlog_in_flight >= state.backlog_limit()
        {
            state.limit_reached_at = Some(now);
        }
        Some(Permit {
            flow: Arc::clone(self),
            surface,
            is_backlog,
            probing,
            probed: Breakers::default(),
            started: now,
            completed: false,
        })
    }
}

impl Permit {
    /// Reports the outcome of the upload.
    pub(crate) fn complete(&mut self, outcome: &Outcome) -> FlowChange {
        let now = Instant::now();
        let mut state = self.flow.lock();
        let before = state.target_state();
        let had_room = state.has_room();
        self.completed = true;
        let sample = UploadSample {
            started: self.started,
            limit_reached: state.limit_reached_at.is_some_and(|at| at >= self.started),
            in_flight: state.in_flight,
        };
        state.leave(self.is_backlog);
        let recovered = self.apply(&mut state, outcome, sample, now);
        let by_surface = state.surfaces.get(&self.surface);
        let by_surface = by_surface.and_then(CircuitBreaker::blocked_until);
        let change = FlowChange {
            state: Some(state.target_state()).filter(|after| *after != before),
            recovered,
            blocked_until: state.target.blocked_until().max(by_surface),
        };
        self.probed = std::mem::take(&mut self.probing);
        // A success with room before and after it does not change the plan, and a new plan for each costs.
        let has_room = had_room && state.has_room();
        drop(state);
        let acked = outcome.meaning == Ok(Meaning::Taken);
        if !has_room || !acked || self.probed.any() || change.state.is_some() {
            self.flow.changed.notify_one();
        }
        change
    }

    /// Keeps the probe for a second attempt with the same record, and returns the earliest time of that attempt.
    /// `None` if this upload was no probe, or its circuit breaker has closed.
    pub(crate) fn hold_probe(&mut self) -> Option<Instant> {
        let mut state = self.flow.lock();
        let FlowState {
            target, surfaces, ..
        } = &mut *state;
        let by_target = self.probed.target.then(|| target.hold_probe()).flatten();
        let by_surface = surfaces
            .get_mut(&self.surface)
            .filter(|_| self.probed.surface)
            .and_then(CircuitBreaker::hold_probe);
        self.probing = Breakers {
            target: by_target.is_some(),
            surface: by_surface.is_some(),
        };
        by_target.max(by_surface)
    }

    /// Starts the second attempt of a probe.
    pub(crate) fn restart(&mut self) {
        let mut state = self.flow.lock();
        state.start_probe(self.probing, self.surface);
        state.enter(self.is_backlog);
        self.started = Instant::now();
        self.completed = false;
    }

    /// Applies `outcome` to circuit breakers and concurrency limit; whether a circuit breaker closed.
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
                let recovered = self.succeeded(state, now);
                let latency = now.saturating_duration_since(self.started);
                state.concurrency.succeeded(latency, sample, now);
                recovered
            }
            Ok(Meaning::Rejected | Meaning::Unknown) => self.succeeded(state, now),
            Ok(Meaning::Throttled) => {
                // A target that throttles accepts the surface.
                let recovered = self.surface_succeeded(state);
                let evidence = Evidence::RetryAfter(outcome.pause());
                self.target_failed(state, evidence, sample, now);
                recovered
            }
            // A record that exceeds a limit alone is weak evidence: the target takes smaller or known ones.
            Ok(Meaning::Transient | Meaning::Ambiguous | Meaning::RecordLimit) => {
                let evidence = if outcome.is_connect() {
                    Evidence::Conclusive
                } else {
                    Evidence::Weak
                };
                self.withdraw_surface(state, now);
                self.target_failed(state, evidence, sample, now);
                false
            }
            Ok(Meaning::Broken) => {
                let recovered = match outcome.status {
                    Some(_) => self.target_succeeded(state, now),
                    None => {
                        self.withdraw_target(state, now);
                        false
                    }
                };
                let breaker = state
                    .surfaces
                    .entry(self.surface)
                    .or_insert_with(|| CircuitBreaker::new(Backoff::BROKEN, 1));
                breaker.failed(Evidence::Conclusive, self.probing.surface, now);
                recovered
            }
            Err(_unsendable) => {
                self.withdraw_target(state, now);
                self.withdraw_surface(state, now);
                false
            }
        }
    }

    fn succeeded(&self, state: &mut FlowState, now: Instant) -> bool {
        let target_closed = self.target_succeeded(state, now);
        self.surface_succeeded(state) || target_closed
    }

    fn target_succeeded(&self, state: &mut FlowState, now: Instant) -> bool {
        let closed = state.target.succeeded(self.probing.target);
        if closed {
            state.concurrency.restart(now);
        }
        closed
    }

    fn surface_succeeded(&self, state: &mut FlowState) -> bool {
        let breaker = state.surfaces.get_mut(&self.surface);
        breaker.is_some_and(|breaker| breaker.succeeded(self.probing.surface))
    }

    fn target_failed(
        &self,
        state: &mut FlowState,
        evidence: Evidence,
        sample: UploadSample,
        now: Instant,
    ) {
        // A failed connect does not show how many uploads are too many; neither does a probe.
        if evidence != Evidence::Conclusive && state.target.is_closed() {
            state.concurrency.pushed_back(sample, now);
        }
        if state.target.failed(evidence, self.probing.target, now) {
            state.throttled = matches!(evidence, Evidence::RetryAfter(_));
        }
    }

    /// The probe of the target ended without a result.
    fn withdraw_target(&self, state: &mut FlowState, now: Instant) {
        if self.probing.target {
            state.target.withdraw_probe(now);
        }
    }

    /// The probe of the surface ended without a result.
    fn withdraw_surface(&self, state: &mut FlowState, now: Instant) {
        if let Some(breaker) = state.surfaces.get_mut(&self.surface)
            && self.probing.surface
        {
            breaker.withdraw_probe(now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.completed && !self.probing.any() {
            return;
        }
        let now = Instant::now();
        let mut state = self.flow.lock();
        if !self.completed {
            state.leave(self.is_backlog);
        }
        self.withdraw_target(&mut state, now);
        self.withdraw_surface(&mut state, now);
        drop(state);
        self.flow.changed.notify_one();
    }
}

/// A choice of the two circuit breakers that an upload passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Breakers {
    target: bool,
    surface: bool,
}

impl Breakers {
    fn any(self) -> bool {
        self.target || self.surface
    }
}

impl FlowState {
    fn start_probe(&mut self, probing: Breakers, surface: SurfaceId) {
        if probing.target {
            self.target.start_probe();
        }
        if let Some(breaker) = self.surfaces.get_mut(&surface).filter(|_| probing.surface) {
            breaker.start_probe();
        }
    }
}
