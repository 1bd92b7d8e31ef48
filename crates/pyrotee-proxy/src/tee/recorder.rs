//! The state that all captures share.

use std::sync::Arc;

use pyrotee_queue::{Budget, OfferResult, Producer, Reason, Record, RecordCheck, Reservation};

use super::recordings::{Recorded, Recordings};
use super::slow_clients::SlowClientLog;
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
    pub(crate) recordings: Recordings,
    pub(crate) slow_clients: SlowClientLog,
    pub(crate) lookalikes: Lookalikes,
    pub(crate) metrics: Arc<ProxyMetrics>,
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
        self.max_body.min(self.budget.most_receiving())
    }

    /// Charges `bytes` to the budget for a new recording, and gives up slow recordings if there is no room; `None` if
    /// there still is none.
    pub(super) fn reserve(&self, bytes: u64) -> Option<Reservation> {
        loop {
            let reservation = self.budget.reserve_recording(bytes);
            if reservation.is_some() || !self.make_room() {
                return reservation;
            }
        }
    }

    /// Gives up the slowest recording. Returns `false` if no recording is slow.
    pub(super) fn make_room(&self) -> bool {
        let slowest = self.recordings.take_slowest();
        slowest.map(|recorded| self.lose_slow(&recorded)).is_some()
    }

    /// Gives up recordings when they become too slow. Never returns.
    pub(crate) async fn give_up_slow_recordings(&self) {
        loop {
            for recorded in self.recordings.too_slow().await {
                self.lose_slow(&recorded);
            }
        }
    }

    fn lose_slow(&self, recorded: &Recorded) {
        let bytes = recorded.buffer.len();
        self.refuse(bytes, Reason::UploadFailed);
        self.slow_clients.log(bytes);
    }

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
            Reason::UploadFailed => TeeResult::TooSlow,
            _ => TeeResult::MemoryBudget,
        });
    }
}
