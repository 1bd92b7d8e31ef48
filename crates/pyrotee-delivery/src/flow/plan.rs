//! Which records of a target may be leased at one instant.

use pyrotee_queue::{Lane, LeaseFilter, Surfaces};
use tokio::time::Instant;

use super::FlowState;
use super::circuit_breaker::Admission;

/// Which records may be leased, in order of preference, and how long this stays true.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeasePlan {
    /// Empty if no record may be uploaded now.
    pub(crate) wanted: Vec<LeaseFilter>,
    /// When the passing of time makes another plan necessary; `None` if it does not.
    pub(crate) until: Option<Instant>,
}

impl LeasePlan {
    fn want(&mut self, surfaces: Surfaces, records: &[(Lane, bool)]) {
        let wanted = records.iter().map(|&(lane, deferred)| LeaseFilter {
            lane,
            surfaces,
            deferred,
        });
        self.wanted.extend(wanted);
    }

    fn limit_until(&mut self, at: Instant) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }
}

/// For a probe: any record, preferably one that is not waiting for its next retry. The flag is [`LeaseFilter::deferred`].
const ANY: [(Lane, bool); 4] = [
    (Lane::Fresh, false),
    (Lane::Backlog, false),
    (Lane::Fresh, true),
    (Lane::Backlog, true),
];

const FRESH: [(Lane, bool); 1] = [(Lane::Fresh, false)];
const BACKLOG: [(Lane, bool); 1] = [(Lane::Backlog, false)];

impl FlowState {
    pub(super) fn plan(&self, now: Instant) -> LeasePlan {
        let mut plan = LeasePlan::default();
        if self.in_flight >= self.concurrency.limit() {
            return plan;
        }
        let admission = self.target.admission(now);
        if let Admission::BlockedUntil(until) = admission {
            plan.limit_until(until);
        }
        if !matches!(admission, Admission::All | Admission::Probe) {
            return plan;
        }
        let (mut open, mut due) = (Surfaces::ALL, Surfaces::NONE);
        for (surface, breaker) in &self.surfaces {
            match breaker.admission(now) {
                Admission::All => continue,
                Admission::Probe => due = due.with(*surface),
                Admission::BlockedUntil(until) => plan.limit_until(until),
                Admission::ProbeInFlight => {}
            }
            open = open.without(*surface);
        }
        if due != Surfaces::NONE {
            plan.want(due, &ANY);
        }
        if admission == Admission::Probe {
            plan.want(open, &ANY);
            return plan;
        }
        plan.want(open, &FRESH);
        if self.backlog_in_flight < self.backlog_limit() {
            match self.pacer.blocked_until(now) {
                Some(until) => plan.limit_until(until),
                None => plan.want(open, &BACKLOG),
            }
        }
        plan
    }
}
