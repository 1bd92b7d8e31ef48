//! Where the two halves of one request meet: its body, and the answer to it.
//!
//! Two policies need both. `tee.on: upstream-success` offers a record once it is whole *and* the
//! upstream took it; `tee.duplicates: drop` remembers a try that was teed *and* failed.

use std::sync::{Arc, Mutex};

use pyrotee_queue::{Record, lock};

use super::recorder::{Recorder, Stake};
use super::repeats::{ExpectGuard, Opening, Try};
use crate::metrics::TeeResult;

/// Does what hangs on a request's body and its answer when both are known, whichever comes first.
#[derive(Debug)]
pub(crate) struct Verdict {
    recorder: Arc<Recorder>,
    opening: Option<Opening>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Neither is known.
    Open,
    /// The body is whole.
    Whole(Pending),
    /// The answer is known, and whether it was a success. A failed try is waited for until it is
    /// remembered, or its body broke off: as long as the verdict lives.
    Answered {
        success: bool,
        _expected: Option<ExpectGuard>,
    },
}

/// What is done when the answer is known.
#[derive(Debug)]
pub(super) enum Pending {
    /// The record is offered if the upstream took it.
    Offer(Arc<Record>),
    /// The try is remembered if its client got no 2xx, and forgotten otherwise.
    Try(Try),
}

impl Verdict {
    /// `opening` is what a repetition would be known by at its head.
    pub(super) fn new(recorder: &Arc<Recorder>, opening: Option<Opening>) -> Arc<Self> {
        Arc::new(Self {
            recorder: Arc::clone(recorder),
            opening,
            state: Mutex::new(State::Open),
        })
    }

    /// The body is whole.
    pub(super) fn whole(self: &Arc<Self>, pending: Pending) {
        let mut state = lock(&self.state);
        let State::Answered { success, .. } = *state else {
            // Open -> Whole
            *state = State::Whole(pending);
            return;
        };
        drop(state);
        self.settle(pending, success);
    }

    /// The upstream has answered, or will not.
    pub(super) fn answered(self: &Arc<Self>, success: bool) {
        let mut state = lock(&self.state);
        if let State::Answered { .. } = *state {
            // The first answer counts: an error after it is the body's.
            return;
        }
        let expected = match (&self.recorder.stake, self.opening) {
            (Stake::Repeats(repeats), Some(opening)) if !success => Some(repeats.expect(opening)),
            _ => None,
        };
        // Open | Whole -> Answered
        let answered = State::Answered {
            success,
            _expected: expected,
        };
        let before = std::mem::replace(&mut *state, answered);
        drop(state);
        if let State::Whole(pending) = before {
            self.settle(pending, success);
        }
    }

    fn settle(self: &Arc<Self>, pending: Pending, success: bool) {
        match pending {
            Pending::Offer(record) if success => {
                // Nobody waits for what becomes of it: the ledgers have counted it.
                let _counted = self.recorder.offer(&record);
            }
            Pending::Offer(_) => self
                .recorder
                .metrics
                .tee_result(TeeResult::SkippedLocalRejected),
            Pending::Try(attempt) => {
                if let Stake::Repeats(repeats) = &self.recorder.stake {
                    repeats.ended(self, attempt, success);
                }
            }
        }
    }
}
