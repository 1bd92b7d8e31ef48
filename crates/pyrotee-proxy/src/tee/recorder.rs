//! What all recordings share.

use std::sync::Arc;

use pyrotee_queue::{Budget, OfferResult, Producer, Record};

use super::repeats::Repeats;
use crate::metrics::{ProxyMetrics, TeeResult};

/// Where records go, and what they are charged to.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) budget: Arc<Budget>,
    /// Largest body that is recorded, in bytes.
    pub(crate) max_body: u64,
    pub(crate) stake: Stake,
    pub(crate) metrics: Arc<ProxyMetrics>,
}

/// What hangs on the upstream's answer to a request that is recorded.
#[derive(Debug)]
pub(crate) enum Stake {
    /// It is not looked at.
    Nothing,
    /// Whether the record is offered at all.
    Offer,
    /// Whether a repetition of the request will be.
    Repeats(Arc<Repeats>),
}

impl Recorder {
    /// Hands a whole record to the targets.
    pub(super) fn offer(&self, record: &Arc<Record>) -> OfferResult {
        let offered = self.producer.offer(record);
        let none = offered.queued == 0 && offered.refused > 0;
        self.metrics.teed(if none {
            TeeResult::Refused
        } else {
            TeeResult::Accepted
        });
        offered
    }
}
