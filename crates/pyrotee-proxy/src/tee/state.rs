//! The state of the tee that outlives its policies.

use std::sync::Arc;

use pyrotee_queue::{Budget, OfferResult, Producer, Reason, Record, Reservation};

use super::lookalikes::Lookalikes;
use super::recordings::{Recorded, Recordings};
use super::slow_clients::SlowClientLog;
use crate::metrics::{ProxyMetrics, TeeResult};

/// What the captures of all policies share: queues, memory, recordings and metrics.
#[derive(Debug)]
pub(crate) struct TeeState {
    producer: Arc<dyn Producer>,
    pub(super) budget: Arc<Budget>,
    pub(super) recordings: Recordings,
    slow_clients: SlowClientLog,
    pub(super) lookalikes: Lookalikes,
    pub(super) metrics: Arc<ProxyMetrics>,
}

impl TeeState {
    pub(crate) fn new(
        producer: Arc<dyn Producer>,
        budget: Arc<Budget>,
        metrics: Arc<ProxyMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            producer,
            budget,
            recordings: Recordings::default(),
            slow_clients: SlowClientLog::default(),
            lookalikes: Lookalikes::new(Arc::clone(&metrics)),
            metrics,
        })
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
        self.metrics.tee_result(match offered.queued {
            0 => TeeResult::Refused,
            _ => TeeResult::Accepted,
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
