//! `tee.on: upstream-success`: a record is offered once it is whole *and* the upstream took it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyrotee_queue::Record;

use super::recorder::Recorder;

/// Where the two conditions of one request meet, whichever comes first.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    Recorded(Arc<Record>),
    Approved,
    Rejected,
}

impl Verdict {
    /// The body is whole.
    pub(super) fn recorded(&self, recorder: &Recorder, record: Arc<Record>) {
        let mut state = self.lock();
        match *state {
            // Open -> Recorded
            State::Open => *state = State::Recorded(record),
            State::Approved => recorder.settle(true, &record),
            State::Recorded(_) | State::Rejected => recorder.settle(false, &record),
        }
    }

    /// The upstream has answered, or will not.
    pub(super) fn answered(&self, recorder: &Recorder, success: bool) {
        let next = if success {
            State::Approved
        } else {
            State::Rejected
        };
        let mut state = self.lock();
        match std::mem::replace(&mut *state, next) {
            // Recorded -> Approved | Rejected
            State::Recorded(record) => recorder.settle(success, &record),
            // Open -> Approved | Rejected
            State::Open => {}
            // The first answer counts: an error after it is the body's.
            decided @ (State::Approved | State::Rejected) => *state = decided,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
