//! The state that all captures share.

use std::sync::Arc;

use pyrotee_queue::{Budget, Offered, Producer, Record};

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
    /// Offers a record only after a successful response.
    OfferOnSuccess,
    /// Offers a record as soon as its body is complete, and remembers it after a failed response, so
    /// that the client's retry is not offered again.
    FilterRetries(Arc<RetryFilter>),
}

impl Recorder {
    /// Offers a record to the targets.
    pub(super) fn offer(&self, record: &Arc<Record>) -> Offered {
        let offered = self.producer.offer(record);
        let none = offered.taken == 0 && offered.refused > 0;
        self.metrics.tee_result(if none {
            TeeResult::Refused
        } else {
            TeeResult::Accepted
        });
        offered
    }
}
