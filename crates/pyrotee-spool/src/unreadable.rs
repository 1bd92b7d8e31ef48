//! Handles segments that the disk does not return: holds back their records, and counts the records that are lost with
//! them.

use std::io;

use pyrotee_queue::Reason;
use pyrotee_segments::SegmentPosition;
use tracing::{info, warn};

use crate::Mode;
use crate::shared::Shared;
use crate::tracker::TrackerState;
use crate::unread::Losers;

impl Shared {
    /// Notes that the operating system could not return the record `number` at `position`: the records of the segment
    /// are held back for a time, and this record for longer.
    pub(crate) fn note_read_failure(
        &self,
        position: SegmentPosition,
        number: u64,
        error: &io::Error,
    ) {
        let segment = position.segment;
        self.counters.troubles.add(1);
        let pause = self.read_trouble.failed(segment, number);
        let next = self
            .tracker
            .with(|tracker| tracker.segments.next_after(segment));
        for queue in self.all_queues().iter() {
            let end = next.unwrap_or_else(|| queue.queue.in_memory_from());
            queue.queue.hold_back(segment..end, pause.segment_until);
            let number = number..number + 1;
            queue.queue.hold_back(number, pause.record_until);
        }
        if let Some(failures) = pause.to_log {
            let error = error as &dyn std::error::Error;
            warn!(
                segment,
                failures,
                error,
                remedy = Mode::ReadErrors.remedy(),
                "segment of the spool cannot be read, its records are held back"
            );
        }
    }

    /// Notes that reading the record `number` at `position` panicked: the record is held back for a time.
    pub(crate) fn note_read_panic(&self, position: SegmentPosition, number: u64) {
        let until = self.read_trouble.panicked(position.segment, number);
        for queue in self.all_queues().iter() {
            queue.queue.hold_back(number..number + 1, until);
        }
    }

    /// Notes that a record was read.
    pub(crate) fn note_read(&self, position: SegmentPosition, number: u64) {
        let segment = position.segment;
        let Some(recovery) = self.read_trouble.succeeded(segment, number) else {
            return;
        };
        if recovery.disk_is_back {
            for queue in self.all_queues().iter() {
                queue.queue.release_held_back();
            }
        }
        if recovery.segment_ends {
            info!(segment, "segment of the spool can be read again");
        }
    }

    /// Drops the records of a segment that could not be read yet, for `reason`. Returns the number of records, counted
    /// once per target.
    pub(crate) fn lose_unread(&self, segment: u64, reason: Reason) -> u64 {
        let losses = self.tracker.with(|it| it.lose_unread(segment, Losers::All));
        for (target, records) in losses.iter().enumerate() {
            self.refuse_unread(target, *records, reason);
        }
        self.count_unread();
        losses.iter().sum()
    }

    /// Updates the number of segments that could not be read.
    pub(crate) fn count_unread(&self) {
        let unread = self.tracker.with(|it| it.segments.unread().count());
        self.counters.unread_segments.set(unread as u64);
    }

    /// Drops records of segments that could not be read yet, for one target, for `reason`. `lose` settles the records
    /// and returns their number.
    pub(crate) fn lose_unread_of(
        &self,
        target: usize,
        reason: Reason,
        lose: impl FnOnce(&mut TrackerState) -> u64,
    ) -> u64 {
        if self.counters.unread_segments.get() == 0 {
            return 0;
        }
        let records = self.tracker.with(lose);
        self.refuse_unread(target, records, reason);
        if records > 0 {
            self.count_unread();
            self.tracker.wakeup.notify();
        }
        records
    }

    /// Counts records of unknown length as lost. The ledger of this process has never counted them as pending.
    fn refuse_unread(&self, target: usize, records: u64, reason: Reason) {
        let Some(queue) = self.queue(target) else {
            return;
        };
        for _ in 0..records {
            queue.queue.ledger().refuse(0, reason);
        }
    }
}
