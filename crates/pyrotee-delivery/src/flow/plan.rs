//! What a target may be given at an instant.

use pyrotee_queue::{Lane, LeaseFilter, Surfaces};
use tokio::time::Instant;

use super::State;
use super::circuit::Admission;

/// What may be leased, in order of preference, and until when that stays true.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Nothing: nobody may upload now.
    pub(crate) wanted: Vec<LeaseFilter>,
    /// When time alone makes another plan; `None`: it does not.
    pub(crate) until: Option<Instant>,
}

impl Plan {
    fn want(&mut self, surfaces: Surfaces, kinds: &[(Lane, bool)]) {
        let wanted = kinds.iter().map(|&(lane, deferred)| LeaseFilter {
            lane,
            surfaces,
            deferred,
        });
        self.wanted.extend(wanted);
    }

    fn not_after(&mut self, at: Instant) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }
}

/// For a probe: any record, one that waits for its next try as well if there is no other.
const ANY: [(Lane, bool); 4] = [
    (Lane::Fresh, false),
    (Lane::Backlog, false),
    (Lane::Fresh, true),
    (Lane::Backlog, true),
];

const FRESH: [(Lane, bool); 1] = [(Lane::Fresh, false)];
const BACKLOG: [(Lane, bool); 1] = [(Lane::Backlog, false)];

impl State {
    pub(super) fn plan(&self, now: Instant) -> Plan {
        let mut plan = Plan::default();
        if self.in_flight >= self.concurrency.limit() {
            return plan;
        }
        let admission = self.target.admits(now);
        if let Admission::NobodyUntil(until) = admission {
            plan.not_after(until);
        }
        if !matches!(admission, Admission::Everybody | Admission::Probe) {
            return plan;
        }
        let (mut open, mut due) = (Surfaces::ALL, Surfaces::NONE);
        for (surface, circuit) in &self.surfaces {
            match circuit.admits(now) {
                Admission::Everybody => continue,
                Admission::Probe => due = due.with(*surface),
                Admission::NobodyUntil(until) => plan.not_after(until),
                Admission::Nobody => {}
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
            match self.pace.waits_until(now) {
                Some(until) => plan.not_after(until),
                None => plan.want(open, &BACKLOG),
            }
        }
        plan
    }
}
