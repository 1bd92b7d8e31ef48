//! What all recordings share.

use std::sync::Arc;

use pyrotee_queue::{Budget, Offered, Producer, Record};

use crate::metrics::{ProxyMetrics, TeeResult};

/// Where records go, and what they are charged to.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) budget: Arc<Budget>,
    /// Largest body that is recorded, in bytes.
    pub(crate) max_body: u64,
    pub(crate) metrics: ProxyMetrics,
}

impl Recorder {
    /// Hands a whole record to the targets.
    pub(super) fn offer(&self, record: &Arc<Record>) -> Offered {
        let offered = self.producer.offer(record);
        let none = offered.taken == 0 && offered.refused > 0;
        self.metrics.teed(if none {
            TeeResult::Refused
        } else {
            TeeResult::Accepted
        });
        offered
    }

    /// Offers `record`, or leaves it because the upstream did not take it.
    pub(super) fn settle(&self, offer: bool, record: &Arc<Record>) {
        if offer {
            // Nobody waits for what becomes of it: the ledgers have counted it.
            let _counted = self.offer(record);
        } else {
            self.metrics.teed(TeeResult::SkippedLocalRejected);
        }
    }
}
