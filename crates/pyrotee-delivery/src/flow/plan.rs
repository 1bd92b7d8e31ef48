//! The plan of which records of a target may be leased at one instant.

use pyrotee_queue::{Lane, LeaseFilter, Surfaces};
use tokio::time::Instant;

use super::FlowState;
use super::circuit_breaker::Admission;

/// Which records of a target may be leased, in order of preference, and until when the plan is valid.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeasePlan {
    /// Empty if no record may be uploaded now.
    pub(crate) wanted: Vec<LeaseFilter>,
    /// When the passing of time makes a new plan necessary; `None` if time alone never does.
    pub(crate) until: Option<Instant>,
}

/// The surfaces whose circuit breakers admit records of one kind: untried ones, or ones that have failed.
struct Admitted {
    /// Surfaces of which every record is admitted.
    all: Surfaces,
    /// Surfaces of which one record is admitted: a probe is due.
    probe: Surfaces,
}

impl LeasePlan {
    fn want(&mut self, surfaces: Surfaces, lane: Lane) {
        self.wanted.push(LeaseFilter {
            lane,
            surfaces,
            deferred: false,
        });
    }

    /// Adds a probe to the plan: an untried record of the surfaces `untried`, or else a record of the surfaces `failed`
    /// that has failed, even before its retry is due.
    fn want_probe(&mut self, untried: Surfaces, failed: Surfaces) {
        if untried != Surfaces::NONE {
            self.want(untried, Lane::Fresh);
            self.want(untried, Lane::Backlog);
        }
        if failed != Surfaces::NONE {
            self.want_retry(failed, true);
        }
    }

    /// Adds records of `surfaces` that have failed and are due, and after these the others, if `early`.
    fn want_retry(&mut self, surfaces: Surfaces, early: bool) {
        self.want(surfaces, Lane::Failed);
        if early {
            self.want_deferred(surfaces);
        }
    }

    /// Adds records of `surfaces` that have failed and are not due yet.
    fn want_deferred(&mut self, surfaces: Surfaces) {
        self.wanted.push(LeaseFilter {
            lane: Lane::Failed,
            surfaces,
            deferred: true,
        });
    }

    fn limit_until(&mut self, at: Instant) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }
}

impl FlowState {
    pub(super) fn plan(&self, now: Instant) -> LeasePlan {
        let mut plan = LeasePlan::default();
        if self.in_flight >= self.concurrency.max() {
            return plan;
        }
        let untried = self.admitted(false, now, &mut plan);
        let failed = self.admitted(true, now, &mut plan);
        if !self.target.is_closed() {
            plan.want_probe(
                untried.all.union(untried.probe),
                failed.all.union(failed.probe),
            );
            return plan;
        }
        plan.want_probe(untried.probe, failed.probe);
        // Records that have failed hold at most a tenth of the permits in use, beside those of the untried
        // records, so that neither waits for the other.
        let is_blocked = self.failed_blocked_until.filter(|until| *until > now);
        if let Some(until) = is_blocked {
            plan.limit_until(until);
        }
        let may_retry = self.admits_retry(now);
        let share = self.failed_in_flight < (self.in_flight / 10).max(1);
        let is_apart = share && self.in_flight + 1 < self.concurrency.max();
        if is_apart && may_retry {
            plan.want_retry(failed.all, self.retries_early);
        }
        if self.untried_in_flight() >= self.concurrency.limit() {
            return plan;
        }
        plan.want(untried.all, Lane::Fresh);
        if self.backlog_in_flight < self.backlog_limit() {
            match self.pacer.blocked_until(now) {
                Some(until) => plan.limit_until(until),
                None => plan.want(untried.all, Lane::Backlog),
            }
        }
        // If no untried record can be leased, records that have failed may hold half of the limit.
        if may_retry && !is_apart && self.failed_in_flight < self.backlog_limit() {
            plan.want_retry(failed.all, self.retries_early);
        }
        plan
    }

    /// The surfaces whose untried records, or records that have failed if `has_failed`, may be sent. Limits `plan` to
    /// the time at which the next blocked circuit breaker admits a probe.
    fn admitted(&self, has_failed: bool, now: Instant, plan: &mut LeasePlan) -> Admitted {
        let mut admitted = Admitted {
            all: Surfaces::ALL,
            probe: Surfaces::NONE,
        };
        match self.target.admission(has_failed, now) {
            Admission::All | Admission::Probe => {}
            blocked => {
                if let Admission::BlockedUntil(until) = blocked {
                    plan.limit_until(until);
                }
                admitted.all = Surfaces::NONE;
                return admitted;
            }
        }
        for (surface, flow) in &self.surfaces {
            match flow.breaker.admission(has_failed, now) {
                Admission::All => continue,
                Admission::Probe => admitted.probe = admitted.probe.with(*surface),
                Admission::BlockedUntil(until) => plan.limit_until(until),
                Admission::ProbeInFlight => {}
            }
            admitted.all = admitted.all.without(*surface);
        }
        admitted
    }
}
