//! Writes records to segments.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use pyrotee_queue::{Record, lock};

use super::{MOST_UNSYNCED, Writer};
use crate::format::{RecordHead, SegmentHead, TargetId, segment_name};
use crate::segments::Segment;
use crate::settings::Fsync;
use crate::shared::PendingWrite;
use crate::spooled_record::SegmentPosition;
use crate::storage::{File, OnDemand, append_all};

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct ActiveSegment {
    pub(super) first: u64,
    file: Arc<dyn File>,
    /// Length of the file, in bytes.
    len: u64,
    /// Length of the committed records, in bytes: each is whole, and in memory its position is known.
    pub(super) committed: u64,
    /// Length of the synced part, in bytes.
    synced: u64,
    /// Attempts to cut it that have failed.
    pub(super) cuts: u32,
}

impl ActiveSegment {
    pub(super) fn is_unsynced(&self) -> bool {
        self.synced < self.len
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.is_unsynced() {
            self.file.sync()?;
            self.synced = self.len;
        }
        Ok(())
    }

    /// Cuts off everything after the committed records.
    pub(super) fn truncate(&self) -> io::Result<()> {
        self.file.truncate(self.committed)
    }
}

/// Records that were written and not committed yet. They are committed after one sync for all of them.
#[derive(Debug, Default)]
struct SyncGroup {
    written: VecDeque<(PendingWrite, SegmentPosition)>,
    bytes: u64,
}

impl Writer {
    /// Writes the pending records, in order.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let mut writes = std::mem::take(&mut lock(&self.shared.intake).writes);
        let mut group = SyncGroup::default();
        let result = self.write_each(&mut writes, &mut group);
        if result.is_err() {
            // Uncommitted records go back, before those that were offered meanwhile.
            let mut intake = lock(&self.shared.intake);
            for (write, _) in group.written.into_iter().rev() {
                writes.push_front(write);
            }
            writes.append(&mut intake.writes);
            intake.writes = writes;
        }
        result
    }

    fn write_each(
        &mut self,
        writes: &mut VecDeque<PendingWrite>,
        group: &mut SyncGroup,
    ) -> io::Result<()> {
        while let Some(write) = writes.pop_front() {
            let Some((record, takers)) = self.shared.tracker.unsettled(&write.record) else {
                // A resolved record needs no disk: a client that sends it again gets the same result.
                let resolved = lock(&write.record.state).resolved;
                write.resolve(resolved);
                continue;
            };
            let written = self.append(&record, write.record.number(), takers, group);
            drop(record);
            match written {
                Ok(position) => group.written.push_back((write, position)),
                Err(error) => {
                    writes.push_front(write);
                    return Err(error);
                }
            }
            if self.settings.fsync != Fsync::Always || group.bytes >= MOST_UNSYNCED {
                self.commit(group)?;
            }
        }
        self.commit(group)
    }

    /// Commits the written records: releases their bodies from memory and resolves their receipts.
    fn commit(&mut self, group: &mut SyncGroup) -> io::Result<()> {
        if self.settings.fsync == Fsync::Always {
            self.sync()?;
        }
        group.bytes = 0;
        let mut last = None;
        let mut committed = Vec::new();
        for (write, position) in group.written.drain(..) {
            self.shared.tracker.written(&write.record, position);
            last = Some(write.record.number());
            committed.push(write);
        }
        if let Some(active) = &mut self.active {
            active.committed = active.len;
        }
        if let Some(last) = last {
            self.has_appended = true;
            for queue in &self.shared.queues {
                queue.moved_to_disk(last + 1);
            }
        }
        for write in committed {
            write.resolve(true);
        }
        Ok(())
    }

    fn append(
        &mut self,
        record: &Record,
        number: u64,
        takers: Vec<TargetId>,
        group: &mut SyncGroup,
    ) -> io::Result<SegmentPosition> {
        let head = RecordHead {
            number,
            takers,
            head: record.head().clone(),
        };
        let head = head.encode(record.body(), self.crc());
        let bytes = head.len() as u64 + record.len();
        if self
            .active
            .as_ref()
            .is_none_or(|active| self.is_full(active, bytes))
        {
            self.commit(group)?;
            self.roll(number, bytes)?;
        }
        self.make_room(bytes)?;
        let Some(active) = &mut self.active else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut parts: Vec<_> = std::iter::once(IoSlice::new(&head))
            .chain(
                record
                    .body()
                    .frames()
                    .iter()
                    .map(|frame| IoSlice::new(frame)),
            )
            .collect();
        append_all(&*active.file, &mut parts)?;
        let position = SegmentPosition {
            segment: active.first,
            offset: active.len,
            before_body: u32::try_from(head.len()).unwrap_or(u32::MAX),
        };
        active.len += bytes;
        group.bytes += bytes;
        self.shared.counters.written.add(bytes);
        self.shared.counters.body.add(record.len());
        self.grow(position.segment, bytes);
        Ok(position)
    }

    /// Whether a record of `bytes` goes into a new segment. A segment is bounded in bytes and in claims, so that
    /// evicting it never drops more than a part of the spool.
    fn is_full(&self, active: &ActiveSegment, bytes: u64) -> bool {
        let pending = self.shared.tracker.with(|tracker| {
            let segment = tracker.segments.get(active.first);
            segment.map_or(0, |segment| segment.pending)
        });
        active.len + bytes > self.settings.segment() || pending > self.settings.claims() / 4
    }

    /// Begins the segment whose first record has the number `first` and a length of `bytes`.
    fn roll(&mut self, first: u64, bytes: u64) -> io::Result<()> {
        if self.settings.fsync != Fsync::Never {
            self.sync()?;
        }
        if let Some(active) = self.active.take() {
            self.close(&active);
        }
        let head = SegmentHead {
            salt: self.salt,
            first,
            names: self.names.clone(),
        };
        let head = head.encode();
        let len = head.len() as u64;
        self.make_room(len + bytes)?;
        self.keep_reserve()?;
        let name = segment_name(first);
        let file = match self.storage.create(&name) {
            // An earlier attempt left the file, and committed no record in it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = self.storage.open(&name)?;
                file.truncate(0)?;
                file
            }
            created => created?,
        };
        self.torn.retain(|torn| torn.first != first);
        self.shared.tracker.with(|tracker| {
            let segment = Segment {
                file: Some(Arc::clone(&file)),
                ..Segment::default()
            };
            tracker.segments.insert(first, segment);
        });
        // From here on, after a failure, the segment is truncated.
        let active = self.active.insert(ActiveSegment {
            first,
            file,
            len: 0,
            committed: 0,
            synced: 0,
            cuts: 0,
        });
        append_all(&*active.file, &mut [IoSlice::new(&head)])?;
        active.len = len;
        active.committed = len;
        self.shared.counters.written.add(len);
        self.grow(first, len);
        if self.settings.fsync != Fsync::Never {
            self.storage.sync_names()?;
        }
        Ok(())
    }

    fn grow(&self, segment: u64, bytes: u64) {
        self.shared
            .tracker
            .with(|tracker| tracker.segments.grow(segment, bytes));
    }

    /// Ends a segment: no record is appended any more.
    pub(super) fn close(&self, active: &ActiveSegment) {
        let first = active.first;
        let tracker = &self.shared.tracker;
        let segments = tracker.with(|tracker| {
            tracker.segments.close(first, active.committed);
            tracker.segments.len()
        });
        if segments > self.settings.open_files {
            let file = OnDemand::new(&self.storage, segment_name(first));
            tracker.with(|tracker| tracker.segments.set_file(first, Arc::new(file)));
        }
    }
}
