//! One upload, from its leave to what it taught.

use std::sync::Arc;

use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::{Lane, Lease, SurfaceId};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::circuit::{Admission, Circuit, Gravity};
use super::concurrency::Flight;
use super::{Condition, Flow, State};
use crate::outcome::Outcome;

/// The right to one upload. Dropping it says that nothing was learnt.
#[must_use]
#[derive(Debug)]
pub(crate) struct Pass {
    flow: Arc<Flow>,
    surface: SurfaceId,
    backlog: bool,
    /// Circuits whose probe it is now.
    probes: Probes,
    /// Circuits whose probe it was when it ended.
    probed: Probes,
    started: Instant,
    ended: bool,
}

/// What an outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// What the target's condition is now, if that is new.
    pub(crate) condition: Option<Condition>,
    /// A circuit closed: what is pending could not be delivered in time.
    pub(crate) recovered: bool,
    /// Nobody tries before then what this upload tried.
    pub(crate) shut_until: Option<Instant>,
}

impl Flow {
    /// Lets the record of `lease` through; `None` if it must wait after all, because things changed
    /// since the plan was made.
    pub(crate) fn pass(self: &Arc<Self>, lease: &Lease) -> Option<Pass> {
        let now = Instant::now();
        let surface = lease.record().head().surface;
        let mut state = self.lock();
        let of_target = state.target.admits(now);
        let of_surface = state
            .surfaces
            .get(&surface)
            .map_or(Admission::Everybody, |circuit| circuit.admits(now));
        let admitted = |admission| matches!(admission, Admission::Everybody | Admission::Probe);
        if !admitted(of_target) || !admitted(of_surface) {
            return None;
        }
        let probes = Probes {
            target: of_target == Admission::Probe,
            surface: of_surface == Admission::Probe,
        };
        state.probe(probes, surface);
        let backlog = lease.lane() == Lane::Backlog;
        if backlog && !probes.any() {
            state.pace.charge(lease.record().len(), now);
        }
        state.in_flight += 1;
        state.backlog_in_flight += usize::from(backlog);
        if state.in_flight >= state.concurrency.limit()
            || backlog && state.backlog_in_flight >= state.backlog_limit()
        {
            state.full_at = Some(now);
        }
        Some(Pass {
            flow: Arc::clone(self),
            surface,
            backlog,
            probes,
            probed: Probes::default(),
            started: now,
            ended: false,
        })
    }
}

impl Pass {
    /// The upload ended.
    pub(crate) fn ended(&mut self, outcome: &Outcome) -> Change {
        let now = Instant::now();
        let mut state = self.flow.lock();
        let before = state.condition();
        let had_room = state.has_room();
        self.ended = true;
        let flight = Flight {
            started: self.started,
            full: state.full_at.is_some_and(|at| at >= self.started),
            beside: state.in_flight,
        };
        state.in_flight -= 1;
        state.backlog_in_flight -= usize::from(self.backlog);
        let change = self.judge(&mut state, outcome, flight, now);
        self.probed = std::mem::take(&mut self.probes);
        let condition = Some(state.condition()).filter(|condition| *condition != before);
        // A success with room before and after it leaves the plan as it was, and to make one for each costs.
        let has_room = had_room && state.has_room();
        drop(state);
        if !has_room
            || outcome.meaning != Ok(Meaning::Taken)
            || self.probed.any()
            || condition.is_some()
        {
            self.flow.changed.notify_one();
        }
        Change {
            condition,
            ..change
        }
    }

    /// Keeps the probe's place for a second try with the same record; when that may set out. `None` if
    /// this was no probe, or has learnt what it was sent for.
    pub(crate) fn hold(&mut self) -> Option<Instant> {
        let mut state = self.flow.lock();
        let State {
            target, surfaces, ..
        } = &mut *state;
        let of_target = self.probed.target.then(|| target.hold()).flatten();
        let of_surface = surfaces
            .get_mut(&self.surface)
            .filter(|_| self.probed.surface)
            .and_then(Circuit::hold);
        self.probes = Probes {
            target: of_target.is_some(),
            surface: of_surface.is_some(),
        };
        of_target.max(of_surface)
    }

    /// The second try sets out.
    pub(crate) fn again(&mut self) {
        let mut state = self.flow.lock();
        state.probe(self.probes, self.surface);
        state.in_flight += 1;
        state.backlog_in_flight += usize::from(self.backlog);
        self.started = Instant::now();
        self.ended = false;
    }

    fn judge(&self, state: &mut State, outcome: &Outcome, flight: Flight, now: Instant) -> Change {
        let mut recovered = false;
        match outcome.meaning {
            Ok(Meaning::Taken) => {
                state.taken += 1;
                let took = now.saturating_duration_since(self.started);
                recovered |= self.reached(state, now);
                state.concurrency.took(took, flight, now);
            }
            Ok(Meaning::Rejected | Meaning::Unknown) => recovered |= self.reached(state, now),
            Ok(Meaning::Throttled) => {
                // Whoever throttles has let the surface in.
                recovered |= self.surface_reached(state);
                let gravity = Gravity::Asked(outcome.retry_after);
                self.target_failed(state, gravity, flight, now);
            }
            Ok(Meaning::Transient | Meaning::Ambiguous) => {
                let gravity = if outcome.is_connect() {
                    Gravity::Certain
                } else {
                    Gravity::Doubt
                };
                self.surface_untried(state, now);
                self.target_failed(state, gravity, flight, now);
            }
            Ok(Meaning::Broken) => {
                match outcome.status {
                    Some(_) => recovered |= self.target_reached(state, now),
                    None => self.target_untried(state, now),
                }
                let circuit = state
                    .surfaces
                    .entry(self.surface)
                    .or_insert_with(|| Circuit::new(Backoff::BROKEN, 1));
                circuit.failed(Gravity::Certain, self.probes.surface, now);
            }
            Err(_unsendable) => {
                self.target_untried(state, now);
                self.surface_untried(state, now);
            }
        }
        let of_surface = state.surfaces.get(&self.surface);
        Change {
            condition: None,
            recovered,
            shut_until: state
                .target
                .next_try()
                .max(of_surface.and_then(Circuit::next_try)),
        }
    }

    fn reached(&self, state: &mut State, now: Instant) -> bool {
        let of_target = self.target_reached(state, now);
        self.surface_reached(state) || of_target
    }

    fn target_reached(&self, state: &mut State, now: Instant) -> bool {
        let closed = state.target.succeeded(self.probes.target);
        if closed {
            state.concurrency.restart(now);
        }
        closed
    }

    fn surface_reached(&self, state: &mut State) -> bool {
        let circuit = state.surfaces.get_mut(&self.surface);
        circuit.is_some_and(|circuit| circuit.succeeded(self.probes.surface))
    }

    fn target_failed(&self, state: &mut State, gravity: Gravity, flight: Flight, now: Instant) {
        // That nobody can connect says nothing of how many uploads would be too many; nor does a probe.
        if gravity != Gravity::Certain && state.target.is_closed() {
            state.concurrency.pushed_back(flight, now);
        }
        if state.target.failed(gravity, self.probes.target, now) {
            state.throttled = matches!(gravity, Gravity::Asked(_));
        }
    }

    fn target_untried(&self, state: &mut State, now: Instant) {
        if self.probes.target {
            state.target.withdraw(now);
        }
    }

    fn surface_untried(&self, state: &mut State, now: Instant) {
        if let Some(circuit) = state.surfaces.get_mut(&self.surface)
            && self.probes.surface
        {
            circuit.withdraw(now);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.ended && !self.probes.any() {
            return;
        }
        let now = Instant::now();
        let mut state = self.flow.lock();
        if !self.ended {
            state.in_flight -= 1;
            state.backlog_in_flight -= usize::from(self.backlog);
        }
        self.target_untried(&mut state, now);
        self.surface_untried(&mut state, now);
        drop(state);
        self.flow.changed.notify_one();
    }
}

/// The circuits that an upload tries on behalf of everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Probes {
    target: bool,
    surface: bool,
}

impl Probes {
    fn any(self) -> bool {
        self.target || self.surface
    }
}

impl State {
    fn probe(&mut self, probes: Probes, surface: SurfaceId) {
        if probes.target {
            self.target.probe();
        }
        if let Some(circuit) = self.surfaces.get_mut(&surface).filter(|_| probes.surface) {
            circuit.probe();
        }
    }
}
