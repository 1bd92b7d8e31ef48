//! Commits records that were written: from then on they are read from the disk.

use std::collections::VecDeque;

use pyrotee_queue::lock;
use pyrotee_segments::SegmentPosition;

use super::Writer;
use crate::intake::PendingWrite;

/// Records that were written and not committed yet: with `fsync: always` they are committed once they are synced. All
/// of these records are in the active segment.
#[derive(Debug, Default)]
pub(super) struct Uncommitted {
    /// Each with its position and the offset of its end.
    written: VecDeque<(PendingWrite, SegmentPosition, u64)>,
    bytes: u64,
}

impl Uncommitted {
    pub(super) fn len(&self) -> usize {
        self.written.len()
    }

    /// Bytes of the records, heads included.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of the first record.
    pub(super) fn first(&self) -> Option<u64> {
        let (write, ..) = self.written.front()?;
        Some(write.record.number())
    }
}

impl Writer {
    /// Notes a record that was written, with its position and the offset of its end.
    pub(super) fn note_written(
        &mut self,
        write: PendingWrite,
        position: SegmentPosition,
        end: u64,
    ) {
        self.uncommitted.bytes += end - position.offset;
        self.uncommitted.written.push_back((write, position, end));
        self.shared.counters.uncommitted.add(1);
    }

    /// Commits the first `count` written records: releases their bodies from memory and resolves their receipts.
    pub(super) fn commit(&mut self, count: usize) {
        let count = count.min(self.uncommitted.written.len());
        let mut last = None;
        let mut committed = Vec::with_capacity(count);
        for _ in 0..count {
            let Some((write, position, end)) = self.uncommitted.written.pop_front() else {
                break;
            };
            write.record.written(position);
            self.uncommitted.bytes -= end - position.offset;
            self.shared.counters.uncommitted.sub(1);
            last = Some((write.record.number(), end));
            committed.push(write);
        }
        if let Some((last, end)) = last {
            if let Some(active) = &mut self.active {
                active.committed = end;
            }
            self.slots.has_appended = true;
            for queue in self.shared.all_queues().iter() {
                queue.queue.moved_to_disk(last + 1);
            }
        }
        for write in committed {
            write.resolve(true);
        }
    }

    /// Puts written records that are not committed back into the intake: they are written again, to another segment.
    pub(super) fn take_back_uncommitted(&mut self) {
        let uncommitted = std::mem::take(&mut self.uncommitted);
        self.shared.counters.uncommitted.set(0);
        let mut intake = lock(&self.shared.intake);
        for (write, ..) in uncommitted.written.into_iter().rev() {
            intake.writes.push_front(write);
        }
    }
}
