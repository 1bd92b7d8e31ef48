//! Joins the two results of one request: whether its body is complete, and whether the upstream's
//! response is a success.
//!
//! Two settings need both. `tee.on: upstream-success` offers a record when its body is complete and
//! the response is a success. `tee.duplicates: drop` remembers a request that was teed and got a
//! failed response.

use std::sync::{Arc, Mutex};

use pyrotee_queue::{Record, lock};

use super::recorder::{Recorder, ResponsePolicy};
use crate::metrics::TeeResult;
use pyrotee_dedup::RequestKey;

/// Waits for the body and the response of a request, in any order, and then performs the
/// [`ResponseAction`] of the body.
#[derive(Debug)]
pub(crate) struct Verdict {
    recorder: Arc<Recorder>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Neither the end of the body nor the response is known.
    Open,
    /// The body is complete.
    BodyComplete(ResponseAction),
    /// The response is known.
    Responded { success: bool },
}

/// What to do when the response is known.
#[derive(Debug)]
pub(super) enum ResponseAction {
    /// Offer the record after a success, drop it otherwise.
    Offer(Arc<Record>),
    /// Forget the request after a success, remember it otherwise.
    Remember(RequestKey),
}

impl Verdict {
    /// A verdict on a request.
    pub(super) fn new(recorder: &Arc<Recorder>) -> Arc<Self> {
        Arc::new(Self {
            recorder: Arc::clone(recorder),
            state: Mutex::new(State::Open),
        })
    }

    /// Notes that the body is complete.
    pub(super) fn set_body_complete(&self, action: ResponseAction) {
        let mut state = lock(&self.state);
        let State::Responded { success } = *state else {
            // Open -> BodyComplete
            *state = State::BodyComplete(action);
            return;
        };
        drop(state);
        self.perform(action, success);
    }

    /// Notes that the upstream has responded, or will not respond. Only the first call counts: an
    /// error after the response concerns the response's body.
    pub(super) fn set_response(&self, success: bool) {
        let mut state = lock(&self.state);
        if let State::Responded { .. } = *state {
            return;
        }
        // Open | BodyComplete -> Responded
        let before = std::mem::replace(&mut *state, State::Responded { success });
        drop(state);
        if let State::BodyComplete(action) = before {
            self.perform(action, success);
        }
    }

    fn perform(&self, action: ResponseAction, success: bool) {
        match action {
            ResponseAction::Offer(record) if success => {
                // The ledgers have counted the offer; nobody needs its receipt.
                let _counted = self.recorder.tee.offer(&record);
            }
            ResponseAction::Offer(_) => {
                self.recorder
                    .tee
                    .metrics
                    .tee_result(TeeResult::SkippedLocalRejected);
            }
            ResponseAction::Remember(key) => {
                if let ResponsePolicy::FilterRetries(filter) = &self.recorder.response_policy {
                    filter.set_response(key, success);
                }
            }
        }
    }
}
