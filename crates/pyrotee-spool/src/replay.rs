//! The replay of a removed target: leases each of its pending records and offers it to another target.
//!
//! One record is in memory at a time, charged to the budget. No record is dropped to make room for a replayed record:
//! if there is no room, the replay stops.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyrotee_queue::{Consumer, LeaseFilter, Part, QueueId, Tally, lock};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::backend::SpoolConsumer;
use crate::shared::Shared;

/// Time between two attempts while the queue has no room.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// Bytes of the spool that must stay free beside a replayed record, for segment heads and new records.
const SPARE: u64 = 64 * 1024;

/// The progress of a replay, which hands the pending records of a removed target to another target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayProgress {
    /// The name of the removed target.
    pub from: String,
    /// The name of the target that gets the records.
    pub to: String,
    /// Whether the replay is running.
    pub state: ReplayState,
    /// Records that `to` has queued.
    pub replayed: Tally,
    /// Records that are still pending for `from`.
    pub left: u64,
}

/// Whether a replay is running, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayState {
    /// The replay is running.
    Running,
    /// No record is pending for the removed target any more.
    Done,
    /// The replay ended while records were pending: why, and what to do.
    Stopped(String),
}

/// A replay from one target to another.
pub(crate) struct Replay {
    pub(crate) shared: Arc<Shared>,
    /// Gives out the records of the removed target.
    pub(crate) consumer: SpoolConsumer,
    /// Index of the removed target.
    pub(crate) from: usize,
    /// The target that gets the records.
    pub(crate) to: QueueId,
    pub(crate) max_bytes: u64,
    /// How long the replay waits for room or for the disk before it stops.
    pub(crate) room_timeout: Duration,
    pub(crate) progress: Arc<Mutex<Option<ReplayProgress>>>,
}

/// Why a replay stops before all records are replayed.
struct StopReason(&'static str);

impl Replay {
    pub(crate) async fn run(self) {
        let supervisor = &self.shared.supervisor;
        let replayed = supervisor.catch_future(Part::SpoolReplay, self.replay_all());
        let state = match replayed.await {
            Ok(Ok(())) => ReplayState::Done,
            Ok(Err(StopReason(why))) => ReplayState::Stopped(why.to_owned()),
            Err(panic) => ReplayState::Stopped(format!("replay panicked, which is a bug: {panic}")),
        };
        self.update(|replay| replay.state = state);
        if let Some(replay) = &*lock(&self.progress) {
            let (from, to, left) = (&replay.from, &replay.to, replay.left);
            let records = replay.replayed.profiles;
            match &replay.state {
                ReplayState::Running => {}
                ReplayState::Done => info!(from, to, records, "replay is done"),
                ReplayState::Stopped(why) => {
                    warn!(from, to, records, left, why, "replay has stopped");
                }
            }
        }
    }

    async fn replay_all(&self) -> Result<(), StopReason> {
        loop {
            let lease = self.consumer.lease(&LeaseFilter::ANY);
            // After this time the budget still has no room, or the disk does not return the record.
            let lease = timeout(self.room_timeout, lease).await.map_err(|_| {
                StopReason(
                    "a record could not be read in time: see the log for trouble of the disk, or raise memory-limit",
                )
            })?;
            let Some(lease) = lease else { break };
            let record = Arc::clone(lease.record());
            self.wait_for_room(record.len()).await?;
            let offered = self.shared.offer(Some(self.to), &record);
            if offered.queued == 0 {
                return Err(StopReason("the target's queue is full, or the relay stops"));
            }
            if let Some(receipt) = offered.receipt
                && receipt.await.is_err()
            {
                return Err(TROUBLE);
            }
            lease.ack();
            self.update(|replay| replay.replayed.add(record.len()));
        }
        if self.consumer.has_ended() {
            return Err(StopReason(
                "the removed target is configured again: its other profiles are delivered to it",
            ));
        }
        match self.shared.tracker.with(|it| it.unread_records(self.from)) {
            0 => Ok(()),
            _ => Err(StopReason(
                "the other profiles cannot be read: see the log for trouble of the disk, and try again",
            )),
        }
    }

    /// Waits until the queue and the spool have room for a record without dropping another record.
    async fn wait_for_room(&self, bytes: u64) -> Result<(), StopReason> {
        let shared = &self.shared;
        let until = Instant::now() + self.room_timeout;
        loop {
            let (closing, memory_only, in_force) = {
                let intake = lock(&shared.intake);
                let in_force = intake.in_force.contains(self.to.0);
                (intake.closing, intake.memory_only, in_force)
            };
            if closing {
                return Err(StopReason(
                    "the relay stops: the other profiles stay in the spool",
                ));
            }
            if memory_only {
                return Err(TROUBLE);
            }
            if !in_force {
                return Err(StopReason(
                    "the target that gets the profiles was removed: the other profiles stay in the spool",
                ));
            }
            let used = shared.tracker.with(|tracker| tracker.segments.bytes());
            let quarantined = shared.counters.quarantined_bytes.get();
            if used + bytes + quarantined + SPARE > self.max_bytes {
                return Err(StopReason(
                    "the spool is full, and a replay does not evict profiles: raise spool.max-bytes or purge profiles",
                ));
            }
            let queue = shared.queue(self.to.0);
            if queue.is_some_and(|queue| queue.queue.has_room(bytes)) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(StopReason(
                    "the target's queue has no room: raise its queue-size or queue-bytes, or wait",
                ));
            }
            sleep(BETWEEN_ATTEMPTS).await;
        }
    }

    fn update(&self, change: impl FnOnce(&mut ReplayProgress)) {
        let queue = self.shared.queue(self.from);
        let left = queue.map_or(0, |queue| queue.queue.ledger().snapshot().pending.profiles);
        if let Some(replay) = &mut *lock(&self.progress) {
            replay.left = left;
            change(replay);
        }
    }
}

const TROUBLE: StopReason = StopReason("the spool's disk is in trouble: see the relay's log");
