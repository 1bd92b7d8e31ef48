//! Writes records to segments.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IoSlice};
use std::sync::Arc;

use pyrotee_queue::{Record, lock};
use pyrotee_segments::{
    File, OnDemand, RecordHead, SegmentHead, SegmentPosition, TargetId, append_all, segment_name,
};

use super::Writer;
use crate::intake::PendingWrite;
use crate::segments::Segment;
use crate::settings::Fsync;
use crate::shared::Shared;

/// Most bytes of uncommitted records. They stay in memory until they are synced.
const MOST_UNSYNCED: u64 = 4 << 20;

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct ActiveSegment {
    pub(super) first: u64,
    /// The targets that the head names. Only these may be takers of a record in the segment.
    names: BTreeSet<TargetId>,
    pub(super) file: Arc<dyn File>,
    /// Length of the file, in bytes.
    pub(super) len: u64,
    /// Length of the committed part, in bytes: the head and whole records whose positions are known in memory.
    pub(super) committed: u64,
    /// Length of the synced part, in bytes.
    pub(super) synced: u64,
    /// Number of failed attempts to cut the segment.
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

/// Records that are being written. When the batch is dropped, its unwritten records go back to the intake, before
/// records that were offered meanwhile.
struct Batch {
    shared: Arc<Shared>,
    writes: VecDeque<PendingWrite>,
}

impl Batch {
    fn take(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            writes: std::mem::take(&mut lock(&shared.intake).writes),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.writes.is_empty() {
            return;
        }
        let mut intake = lock(&self.shared.intake);
        self.writes.append(&mut intake.writes);
        intake.writes = std::mem::take(&mut self.writes);
    }
}

impl Writer {
    /// Writes the pending records, in order. Records that are not written at the end go back to the intake, after a
    /// panic as well.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let mut batch = Batch::take(&self.shared);
        let writes = &mut batch.writes;
        while self.uncommitted.bytes() < MOST_UNSYNCED
            && let Some(write) = writes.front()
        {
            let Some((record, takers)) = write.record.unsettled() else {
                // A resolved record needs no disk: a client that sends it again gets the same result.
                let resolved = lock(&write.record.state).resolved;
                if let Some(write) = writes.pop_front() {
                    write.resolve(resolved);
                }
                continue;
            };
            let (position, end) = self.append(&record, write.record.number(), takers)?;
            drop(record);
            if let Some(write) = writes.pop_front() {
                self.note_written(write, position, end);
            }
            if self.settings.fsync != Fsync::Always {
                self.commit(1);
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        record: &Record,
        number: u64,
        takers: Vec<TargetId>,
    ) -> io::Result<(SegmentPosition, u64)> {
        let names_all = |it: &ActiveSegment| takers.iter().all(|id| it.names.contains(id));
        let names_all = self.active.as_ref().is_some_and(names_all);
        let head = RecordHead {
            number,
            takers,
            head: record.head().clone(),
        };
        let head = head.encode(record.body(), self.crc());
        let bytes = head.len() as u64 + record.len();
        let active = self.active.as_ref().filter(|_| names_all);
        if active.is_none_or(|active| self.is_full(active, bytes)) {
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
        let end = active.len;
        self.shared.counters.written.add(bytes);
        self.shared.counters.body.add(record.len());
        self.grow(position.segment, bytes);
        Ok((position, end))
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
        if self.settings.fsync == Fsync::Always {
            self.sync_now()?;
        }
        if let Some(active) = self.active.take() {
            self.close(&active);
            if self.settings.fsync != Fsync::Never && active.is_unsynced() {
                self.unsynced_segments.push(active.file);
            }
        }
        // These include the takers of the record that is being written: ids are never taken out.
        let names = self.shared.tracker.with(|tracker| tracker.names.clone());
        let names = names.unwrap_or_default();
        let ids = names.keys().copied().collect();
        let head = SegmentHead {
            salt: self.salt,
            first,
            names,
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
            names: ids,
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
        match self.settings.fsync {
            Fsync::Always => self.storage.sync_names(),
            Fsync::Interval(_) => {
                self.names_unsynced = true;
                Ok(())
            }
            Fsync::Never => Ok(()),
        }
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
