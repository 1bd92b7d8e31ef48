//! What may go to a target now, and how much of it at once.
//!
//! One state for one target: a circuit for the target, one for each surface that is set up wrongly
//! there, a limit of uploads at once, and the pace of the backlog. It knows neither queue nor network:
//! it is asked for a [`Plan`], told of every upload that starts and how it ended.
//!
//! Invariants:
//!
//! - While a circuit is open, at most one upload goes through it: its probe.
//! - Every [`Pass`] that was given out comes back, by [`Pass::ended`] or by being dropped.

mod backoff;
mod circuit;
mod concurrency;
mod pace;
mod pass;
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

use crate::status::State as Condition;

pub(crate) use backoff::Backoff;
use circuit::Circuit;
use concurrency::Concurrency;
use pace::Pace;
pub(crate) use pass::{Change, Pass};
pub(crate) use plan::Plan;

/// Failures in a row that open the circuit of a target: fewer may be the records' fault.
const TOLERANCE: u32 = 5;

/// The state of one target's deliveries.
#[derive(Debug)]
pub(crate) struct Flow {
    state: Mutex<State>,
    /// One permit for a change, for the one who plans.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    target: Circuit,
    /// Those that were ever refused as a whole.
    surfaces: BTreeMap<SurfaceId, Circuit>,
    /// The target's circuit was opened last because it asked for a pause.
    throttled: bool,
    concurrency: Concurrency,
    pace: Pace,
    in_flight: usize,
    backlog_in_flight: usize,
    /// When as many uploads as allowed were last under way.
    full_at: Option<Instant>,
    /// Records that the target took.
    taken: u64,
}

/// What a scrape or a status page asks.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) condition: Condition,
    /// Until somebody may try; `None`: nobody waits, or a probe is out.
    pub(crate) next_try: Option<Duration>,
    /// The suspended surfaces, and when each is tried next.
    pub(crate) suspended: Vec<(SurfaceId, Option<Duration>)>,
    pub(crate) in_flight: usize,
    pub(crate) limit: usize,
}

impl Flow {
    /// For a target that bears `most` uploads at once, and `replay_rate` bytes of backlog a second.
    pub(crate) fn new(most: usize, replay_rate: Option<NonZeroU64>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                target: Circuit::new(Backoff::FAILING, TOLERANCE),
                surfaces: BTreeMap::new(),
                throttled: false,
                concurrency: Concurrency::new(most),
                pace: Pace::new(replay_rate),
                in_flight: 0,
                backlog_in_flight: 0,
                full_at: None,
                taken: 0,
            }),
            changed: Notify::new(),
        })
    }

    /// What may be leased now.
    pub(crate) fn plan(&self) -> Plan {
        self.lock().plan(Instant::now())
    }

    /// Waits until the last plan may be out of date, but for the time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Records that the target took so far.
    pub(crate) fn taken(&self) -> u64 {
        self.lock().taken
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let wait = |circuit: &Circuit| {
            let at = circuit.next_try();
            at.map(|at| at.saturating_duration_since(now))
        };
        let state = self.lock();
        let suspended = state
            .surfaces
            .iter()
            .filter(|(_, circuit)| !circuit.is_closed());
        Snapshot {
            condition: state.condition(),
            next_try: wait(&state.target),
            suspended: suspended
                .map(|(surface, circuit)| (*surface, wait(circuit)))
                .collect(),
            in_flight: state.in_flight,
            limit: state.concurrency.limit(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn condition(&self) -> Condition {
        if self.surfaces.values().any(|circuit| !circuit.is_closed()) {
            Condition::Suspended
        } else if self.target.is_closed() {
            Condition::Healthy
        } else if self.throttled {
            Condition::Throttled
        } else {
            Condition::Open
        }
    }

    /// Whether one upload more may set out, whichever it is.
    fn has_room(&self) -> bool {
        self.in_flight < self.concurrency.limit() && self.backlog_in_flight < self.backlog_limit()
    }

    /// Half of all, so that fresh records never wait for a place behind old ones.
    fn backlog_limit(&self) -> usize {
        (self.concurrency.limit() / 2).max(1)
    }
}
