//! The thread of a replay, which hands the pending records of a removed target to another one.
//!
//! One record is in memory at a time, charged to the budget. The next record is read when the target has
//! queued the one before. No other record is dropped for a replayed one: if there is no room, the replay stops.

use std::io;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use pyrotee_queue::{Record, Reservation, lock};
use tokio::time::Instant;

use crate::control::{Control, ReplayState};
use crate::format::{Crc, TargetId};
use crate::reader;
use crate::recovery::{ScannedRecord, SegmentScanner, head_of};
use crate::spooled_record::SegmentPosition;
use crate::storage::File;

/// Time between two attempts while the queue or the budget has no room.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// Bytes of the spool that must stay free beside a replayed record, for segment heads and new records.
const SPARE: u64 = 64 * 1024;

/// Hands the pending records of one target to another.
pub(crate) struct ReplayWorker {
    pub(crate) control: Control,
    /// The removed target.
    pub(crate) from: TargetId,
    /// Index among the configured targets of the one that gets the records.
    pub(crate) to: usize,
    pub(crate) crc: Crc,
}

/// Why a replay stops before all records are replayed.
struct StopReason(String);

impl From<io::Error> for StopReason {
    fn from(error: io::Error) -> Self {
        Self(format!("the spool cannot be read: {error}"))
    }
}

impl ReplayWorker {
    pub(crate) fn run(self) {
        let state = match self.replay_all() {
            Ok(()) => ReplayState::Done,
            Err(StopReason(why)) => ReplayState::Stopped(why),
        };
        self.control
            .update_progress(self.from, |replay| replay.state = state);
    }

    fn replay_all(&self) -> Result<(), StopReason> {
        let mut from = 0;
        while let Some(segment) = self.next_segment(from) {
            self.replay_segment(segment)?;
            from = segment + 1;
        }
        Ok(())
    }

    fn next_segment(&self, from: u64) -> Option<u64> {
        self.control.shared.tracker.with(|tracker| {
            let removed = tracker.removed_target(self.from)?;
            removed
                .pending
                .range(from..)
                .next()
                .map(|(first, _)| *first)
        })
    }

    fn wants(&self, number: u64) -> bool {
        self.control.shared.tracker.with(|tracker| {
            let removed = tracker.removed_target(self.from);
            removed.is_some_and(|it| !it.saved.settled.contains(number))
        })
    }

    fn replay_segment(&self, segment: u64) -> Result<(), StopReason> {
        let shared = &self.control.shared;
        let Some(file) = shared.tracker.file(segment) else {
            // The segment was evicted meanwhile, and its records were counted.
            return Ok(());
        };
        let start = head_of(&*file)?.map_or(0, |(_, len)| len as u64);
        let len = shared.tracker.with(|tracker| {
            let segment = tracker.segments.get(segment);
            segment.map_or(0, |segment| segment.bytes)
        });
        let scanner = SegmentScanner {
            file: Arc::clone(&file),
            len,
            crc: self.crc,
            bodies: false,
            numbers: segment..u64::MAX,
        };
        for record in scanner.run(start)?.records {
            if !record.whole || !record.takers.contains(&self.from) || !self.wants(record.number) {
                continue;
            }
            self.replay_record(&*file, &record, record.position(segment))?;
        }
        Ok(())
    }

    fn replay_record(
        &self,
        file: &dyn File,
        scanned: &ScannedRecord,
        position: SegmentPosition,
    ) -> Result<(), StopReason> {
        let bytes = scanned.bytes + u64::from(scanned.before_body) + Record::OVERHEAD;
        let reservation = self.reserve(bytes)?;
        let crc = self.crc;
        let (number, length) = (scanned.number, scanned.bytes);
        let read = reader::read(file, position, number, length, reservation, crc)?;
        let Some(record) = read else {
            self.control.shared.note_damaged(position);
            self.settle(scanned, position.segment);
            return Ok(());
        };
        self.wait_for_room(bytes)?;
        let targets = self.to..self.to + 1;
        let (queued, receipt) = self.control.shared.offer(targets, &record);
        drop(record);
        if queued == 0 {
            return Err(StopReason(
                "the target's queue is full, or the relay stops".to_owned(),
            ));
        }
        if let Some(receipt) = receipt
            && receipt.blocking_recv().is_err()
        {
            return Err(StopReason(trouble()));
        }
        self.settle(scanned, position.segment);
        self.control.update_progress(self.from, |replay| {
            replay.replayed.add(scanned.bytes);
        });
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> Result<Reservation, StopReason> {
        let until = Instant::now() + self.control.room_timeout;
        loop {
            if let Some(reservation) = self.control.shared.budget.reserve(bytes) {
                return Ok(reservation);
            }
            if Instant::now() >= until {
                return Err(StopReason(
                    "memory-limit leaves no room: raise it or wait for the targets".to_owned(),
                ));
            }
            sleep(BETWEEN_ATTEMPTS);
        }
    }

    /// Waits until the queue and the spool have room for a record without dropping another one.
    fn wait_for_room(&self, bytes: u64) -> Result<(), StopReason> {
        let shared = &self.control.shared;
        let until = Instant::now() + self.control.room_timeout;
        loop {
            let (closing, memory_only) = {
                let intake = lock(&shared.intake);
                (intake.closing, intake.memory_only)
            };
            if closing {
                return Err(StopReason(
                    "the relay stops: what is left waits on".to_owned(),
                ));
            }
            if memory_only {
                return Err(StopReason(trouble()));
            }
            let limit = self.control.max_bytes;
            let used = shared.tracker.with(|tracker| tracker.segments.bytes());
            if used + bytes + shared.counters.quarantined_bytes.get() + SPARE > limit {
                return Err(StopReason(
                    "the spool is full, and would lose its oldest profiles: raise spool.max-bytes or purge something"
                        .to_owned(),
                ));
            }
            let queue = shared.queues.get(self.to);
            if queue.is_some_and(|queue| queue.has_room(bytes)) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(StopReason(
                    "the target's queue has no room: raise its queue-size or queue-bytes, or wait"
                        .to_owned(),
                ));
            }
            sleep(BETWEEN_ATTEMPTS);
        }
    }

    /// Settles a record for the removed target.
    fn settle(&self, record: &ScannedRecord, segment: u64) {
        let shared = &self.control.shared;
        shared.tracker.with(|tracker| {
            let mut removed = tracker.removed.iter_mut();
            let Some(removed) = removed.find(|it| it.saved.id == self.from) else {
                return;
            };
            if removed.saved.settled.contains(record.number) {
                // The record was dropped meanwhile, and its claim was released.
                return;
            }
            removed.settle(record, segment);
            tracker.segments.release(segment, 1);
            tracker.unsaved += 1;
        });
        shared.tracker.wakeup.notify();
    }
}

fn trouble() -> String {
    "the spool's disk is in trouble: see the relay's log".to_owned()
}
