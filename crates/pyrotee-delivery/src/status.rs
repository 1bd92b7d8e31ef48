//! What is known of a target, for people: the states it can be in and what happened last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use pyroscope_wire::Surface;

use crate::flow::Flow;
use crate::outcome::{Kind, Outcome};

/// Whether a target is given profiles, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It takes what it is given, as far as is known.
    Healthy,
    /// It asked for less: the next upload waits.
    Throttled,
    /// It cannot be reached or fails: one probe at a time is all that goes out.
    Open,
    /// It refuses every upload of at least one surface, and takes others.
    Suspended,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Throttled, Self::Open, Self::Suspended];

    /// The value of the `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Throttled => "throttled",
            Self::Open => "open",
            Self::Suspended => "suspended",
        }
    }
}

/// What is known of a target at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The state of the target as a whole.
    pub state: State,
    /// Until somebody may try again; `None` if nobody has to wait.
    pub next_try: Option<Duration>,
    /// The surfaces that it refuses.
    pub suspended: Vec<Suspension>,
    /// When it last took a profile.
    pub last_success: Option<SystemTime>,
    /// What went wrong last.
    pub last_error: Option<LastError>,
    /// Uploads tried since the start.
    pub attempts: u64,
    /// Uploads under way.
    pub in_flight: usize,
    /// Uploads that may be under way at once, now.
    pub limit: usize,
    /// The most that `limit` can become.
    pub workers: usize,
}

/// A surface whose uploads the target refuses, whatever is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The surface.
    pub surface: Surface,
    /// Until it is probed; `None` while the probe is under way.
    pub next_try: Option<Duration>,
}

/// An upload that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: SystemTime,
    /// What was made of it: the `outcome` label.
    pub outcome: &'static str,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// One line of what the target said or why it said nothing, without the target's secrets.
    pub text: String,
}

/// Tells the status of a target, also when the target runs elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Monitor {
    flow: Arc<Flow>,
    journal: Arc<Journal>,
    workers: usize,
}

impl Monitor {
    pub(crate) fn new(flow: Arc<Flow>, journal: Arc<Journal>, workers: usize) -> Self {
        Self {
            flow,
            journal,
            workers,
        }
    }

    /// What is known now.
    pub fn status(&self) -> Status {
        let flow = self.flow.snapshot();
        let entries = self.journal.lock().clone();
        let suspended = flow.suspended.into_iter();
        Status {
            state: flow.condition,
            next_try: flow.next_try,
            suspended: suspended
                .filter_map(|(surface, next_try)| {
                    let surface = Surface::from_id(surface.0)?;
                    Some(Suspension { surface, next_try })
                })
                .collect(),
            last_success: entries.last_success,
            last_error: entries.last_error,
            attempts: entries.attempts,
            in_flight: flow.in_flight,
            limit: flow.limit,
            workers: self.workers,
        }
    }
}

/// What happened last to one target.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Entries>);

#[derive(Debug, Clone, Default)]
struct Entries {
    last_success: Option<SystemTime>,
    last_error: Option<LastError>,
    attempts: u64,
}

impl Journal {
    /// An upload ended.
    pub(crate) fn note(&self, outcome: &Outcome, at: SystemTime) {
        let mut entries = self.lock();
        if !matches!(outcome.kind, Kind::Unsendable(_)) {
            entries.attempts += 1;
        }
        if outcome.kind == Kind::Ok {
            entries.last_success = Some(at);
            return;
        }
        entries.last_error = Some(LastError {
            at,
            outcome: outcome.kind.as_str(),
            status: outcome.status.map(|status| status.as_u16()),
            text: outcome.text.clone(),
        });
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_have_distinct_names() {
        for state in State::ALL {
            let name = state.as_str();
            let twins = State::ALL.iter().filter(|other| other.as_str() == name);
            assert_eq!(twins.count(), 1, "{name}");
        }
    }
}
