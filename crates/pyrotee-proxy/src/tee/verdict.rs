//! Joins the two results of one request: whether its body is complete, and whether the upstream's
//! response is a success.
//!
//! Two settings need both. `tee.on: upstream-success` offers a record when its body is complete and
//! the response is a success. `tee.duplicates: drop` remembers an attempt that was teed and got a
//! failed response.

use std::sync::{Arc, Mutex};

use pyrotee_queue::{Record, lock};

use super::recorder::{Recorder, ResponsePolicy};
use crate::dedup::{Attempt, AttemptOwner, Fingerprint, UndigestedGuard};
use crate::metrics::TeeResult;

/// Waits for the body and the response of a request, in any order, and then performs the
/// [`ResponseAction`] of the body.
#[derive(Debug)]
pub(crate) struct Verdict {
    recorder: Arc<Recorder>,
    fingerprint: Option<Fingerprint>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Neither is known.
    Open,
    /// The body is complete.
    BodyComplete(ResponseAction),
    /// The response is known. A failed attempt counts as undigested until it is remembered or its body
    /// fails, which is as long as the verdict lives.
    Responded {
        success: bool,
        _undigested: Option<UndigestedGuard>,
    },
}

/// What to do when the response is known.
#[derive(Debug)]
pub(super) enum ResponseAction {
    /// Offer the record after a success, drop it otherwise.
    Offer(Arc<Record>),
    /// Forget the attempt after a success, remember it otherwise.
    Remember(Attempt),
}

impl Verdict {
    /// A verdict on a request; `fingerprint` identifies a retry of it by its head.
    pub(super) fn new(recorder: &Arc<Recorder>, fingerprint: Option<Fingerprint>) -> Arc<Self> {
        Arc::new(Self {
            recorder: Arc::clone(recorder),
            fingerprint,
            state: Mutex::new(State::Open),
        })
    }

    /// Notes that the body is complete.
    pub(super) fn set_body_complete(self: &Arc<Self>, action: ResponseAction) {
        let mut state = lock(&self.state);
        let State::Responded { success, .. } = *state else {
            // Open -> BodyComplete
            *state = State::BodyComplete(action);
            return;
        };
        drop(state);
        self.perform(action, success);
    }

    /// Notes that the upstream has responded, or will not respond. Only the first call counts: an
    /// error after the response concerns the response's body.
    pub(super) fn set_response(self: &Arc<Self>, success: bool) {
        let mut state = lock(&self.state);
        if let State::Responded { .. } = *state {
            return;
        }
        let undigested = match (&self.recorder.response_policy, self.fingerprint) {
            (ResponsePolicy::FilterRetries(filter), Some(fingerprint)) if !success => {
                Some(filter.add_undigested(fingerprint))
            }
            _ => None,
        };
        // Open | BodyComplete -> Responded
        let responded = State::Responded {
            success,
            _undigested: undigested,
        };
        let before = std::mem::replace(&mut *state, responded);
        drop(state);
        if let State::BodyComplete(action) = before {
            self.perform(action, success);
        }
    }

    fn perform(self: &Arc<Self>, action: ResponseAction, success: bool) {
        match action {
            ResponseAction::Offer(record) if success => {
                // The ledgers have counted the offer; nobody needs its receipt.
                let _counted = self.recorder.offer(&record);
            }
            ResponseAction::Offer(_) => {
                self.recorder
                    .metrics
                    .tee_result(TeeResult::SkippedLocalRejected);
            }
            ResponseAction::Remember(attempt) => {
                if let ResponsePolicy::FilterRetries(filter) = &self.recorder.response_policy {
                    filter.attempt_ended(self, attempt, success);
                }
            }
        }
    }
}

impl AttemptOwner for Verdict {
    fn attempt_made(self: &Arc<Self>, attempt: Attempt) {
        self.set_body_complete(ResponseAction::Remember(attempt));
    }
}
