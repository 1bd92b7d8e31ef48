//! How the requests of one policy are captured.

use std::sync::Arc;

use pyrotee_queue::RecordCheck;

use super::state::TeeState;
use pyrotee_dedup::RetryFilter;

/// Turns captures into records: limits them, and decides when they are offered to the targets. Never changes: another
/// policy has another recorder.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Largest body that is recorded, in bytes.
    pub(super) max_body: u64,
    pub(super) response_policy: ResponsePolicy,
    pub(super) tee: Arc<TeeState>,
}

/// What the tee does with the upstream's response.
#[derive(Debug)]
pub(crate) enum ResponsePolicy {
    /// Ignores the response: a record is offered as soon as its body is complete.
    Ignore,
    /// No upstream gets the profile, and the response depends on whether a target can get it: the record is checked
    /// after its body is complete, and then offered.
    CheckFirst(Arc<dyn RecordCheck>),
    /// Offers a record only after a successful response.
    OfferOnSuccess,
    /// Offers a record as soon as its body is complete, and remembers it after a failed response, so
    /// that the client's retry is not offered again.
    FilterRetries(Arc<RetryFilter>),
}

impl Recorder {
    /// Length of the longest body that is recorded, in bytes: `max_body`, or less if the budget never has room for
    /// that.
    pub(super) fn longest_body(&self) -> u64 {
        self.max_body.min(self.tee.budget.most_receiving())
    }
}
