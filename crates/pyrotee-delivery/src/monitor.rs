//! Keeps what is told of a target.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use pyroscope_wire::Surface;
use pyroscope_wire::refusal::Meaning;
use pyrotee_queue::lock;

use crate::flow::FlowControl;
use crate::outcome::Outcome;
use crate::status::{LastError, Status, Suspension};

/// Tells the status of a target, also when the target runs elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Monitor {
    flow: Arc<FlowControl>,
    journal: Arc<Journal>,
    workers: usize,
}

impl Monitor {
    pub(crate) fn new(flow: Arc<FlowControl>, journal: Arc<Journal>, workers: usize) -> Self {
        Self {
            flow,
            journal,
            workers,
        }
    }

    /// What is known now.
    pub fn status(&self) -> Status {
        let flow = self.flow.snapshot();
        let entries = lock(&self.journal.0).clone();
        let suspended = flow.suspended.into_iter();
        Status {
            state: flow.state,
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
        let mut entries = lock(&self.0);
        if outcome.meaning.is_ok() {
            entries.attempts += 1;
        }
        if outcome.meaning == Ok(Meaning::Taken) {
            entries.last_success = Some(at);
            return;
        }
        entries.last_error = Some(LastError {
            at,
            outcome: outcome.as_str(),
            status: outcome.status_code(),
            text: outcome.text.clone(),
        });
    }
}
