//! The state that all captures share.

use std::sync::Arc;

use pyrotee_queue::{Budget, OfferResult, Producer, Reason, Record, RecordCheck};

use crate::dedup::RetryFilter;
use crate::metrics::{ProxyMetrics, TeeResult};
use crate::tee::Lookalikes;

/// Turns captures into records: limits them, reserves memory for them, and offers the records to
/// the targets.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) budget: Arc<Budget>,
    /// Largest body that is recorded, in bytes.
    pub(crate) max_body: u64,
    pub(crate) response_policy: ResponsePolicy,
    pub(crate) lookalikes: Lookalikes,
    pub(crate) metrics: Arc<ProxyMetrics>,
}

/// What the tee does with the upstream's response.
#[derive(Debug)]
pub(crate) enum ResponsePolicy {
    /// Ignores it: a record is offered as soon as its body is complete.
    Ignore,
    /// There is no upstream, and the response depends on whether a target can be sent the record: it is
    /// checked after its body is complete, and then offered.
    CheckFirst(Arc<dyn RecordCheck>),
    /// Offers a record only after a successful response.
    OfferOnSuccess,
    /// Offers a record as soon as its body is complete, and remembers it after a failed response, so
    /// that the client's retry is not offered again.
    FilterRetries(Arc<RetryFilter>),
}

impl Recorder {
    /// Offers a record to the targets.
    pub(super) fn offer(&self, record: &Arc<Record>) -> OfferResult {
        let offered = self.producer.offer(record);
        let none = offered.queued == 0 && offered.refused > 0;
        self.metrics.tee_result(if none {
            TeeResult::Refused
        } else {
            TeeResult::Accepted
        });
        offered
    }

    /// Counts a profile of `bytes` that is offered to no target.
    pub(super) fn refuse(&self, bytes: u64, reason: Reason) {
        self.producer.refuse(bytes, reason);
        self.metrics.tee_result(match reason {
            Reason::TooLarge => TeeResult::TooLarge,
            Reason::InvalidName => TeeResult::InvalidName,
            Reason::Duplicate => TeeResult::Duplicate,
            Reason::Undecodable => TeeResult::Undecodable,
            _ => TeeResult::MemoryBudget,
        });
    }
}
