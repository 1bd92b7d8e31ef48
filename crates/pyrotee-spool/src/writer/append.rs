//! Records go out.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use pyrotee_queue::{Record, lock};

use super::{GROUP, Writer};
use crate::entry::Location;
use crate::format::{RecordHead, SegmentHead, TargetId, segment_name};
use crate::segments::Segment;
use crate::settings::Fsync;
use crate::shared::Job;
use crate::storage::{File, append_all};

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) first: u64,
    file: Arc<dyn File>,
    len: u64,
    /// Up to here every record is whole and its entry knows.
    pub(super) good: u64,
    synced: u64,
}

impl Active {
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

    /// Cuts off what is not known to be whole.
    pub(super) fn mend(&self) -> io::Result<()> {
        self.file.cut(self.good)
    }
}

/// Records that were written and wait for the sync that covers them.
#[derive(Debug, Default)]
struct Group {
    written: VecDeque<(Job, Location)>,
    bytes: u64,
}

impl Writer {
    /// Writes what waits, in order.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let mut jobs = std::mem::take(&mut lock(&self.shared.intake).jobs);
        let mut group = Group::default();
        let result = self.write_each(&mut jobs, &mut group);
        if result.is_err() {
            // What was not placed goes back, before whatever came meanwhile.
            let mut intake = lock(&self.shared.intake);
            for (job, _) in group.written.into_iter().rev() {
                jobs.push_front(job);
            }
            jobs.append(&mut intake.jobs);
            intake.jobs = jobs;
        }
        result
    }

    fn write_each(&mut self, jobs: &mut VecDeque<Job>, group: &mut Group) -> io::Result<()> {
        while let Some(job) = jobs.pop_front() {
            let Some((record, takers)) = self.shared.book.wanting(&job.entry) else {
                // Whoever asks for it once more would hear the same.
                let judged = lock(&job.entry.state).judged;
                job.answer(judged);
                continue;
            };
            let written = self.append(&record, job.entry.number, takers, group);
            drop(record);
            match written {
                Ok(location) => group.written.push_back((job, location)),
                Err(error) => {
                    jobs.push_front(job);
                    return Err(error);
                }
            }
            if self.settings.fsync != Fsync::Always || group.bytes >= GROUP {
                self.commit(group)?;
            }
        }
        self.commit(group)
    }

    /// Bodies leave memory, receipts resolve.
    fn commit(&mut self, group: &mut Group) -> io::Result<()> {
        if self.settings.fsync == Fsync::Always {
            self.sync()?;
        }
        group.bytes = 0;
        let mut last = None;
        let mut receipts = Vec::new();
        for (job, location) in group.written.drain(..) {
            self.shared.book.place(&job.entry, location);
            last = Some(job.entry.number);
            receipts.push(job);
        }
        if let Some(active) = &mut self.active {
            active.good = active.len;
        }
        if let Some(last) = last {
            for queue in &self.shared.queues {
                queue.moved_to_disk(last + 1);
            }
        }
        for job in receipts {
            job.answer(true);
        }
        Ok(())
    }

    fn append(
        &mut self,
        record: &Record,
        number: u64,
        takers: Vec<TargetId>,
        group: &mut Group,
    ) -> io::Result<Location> {
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
        let location = Location {
            segment: active.first,
            offset: active.len,
            before_body: u32::try_from(head.len()).unwrap_or(u32::MAX),
        };
        active.len += bytes;
        group.bytes += bytes;
        self.shared.counters.written.add(bytes);
        self.shared.counters.body.add(record.len());
        self.grow(location.segment, bytes);
        Ok(location)
    }

    /// Whether so many bytes more belong to another segment. One may not be so large in bytes or in the
    /// index that letting it go is the only way to keep within the limits.
    fn is_full(&self, active: &Active, bytes: u64) -> bool {
        let pending = self.shared.book.with(|book| {
            let segment = book.segments.get(active.first);
            segment.map_or(0, |segment| segment.pending)
        });
        active.len + bytes > self.settings.segment() || pending > self.settings.claims() / 4
    }

    /// Begins the segment of `first`, whose record has so many bytes.
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
            // What an earlier attempt left: nothing that anybody knows of.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = self.storage.open(&name)?;
                file.cut(0)?;
                file
            }
            created => created?,
        };
        self.torn.retain(|torn| torn.first != first);
        self.shared.book.with(|book| {
            let segment = Segment {
                file: Some(Arc::clone(&file)),
                ..Segment::default()
            };
            book.segments.insert(first, segment);
        });
        // From here on a failure finds the segment and cuts it.
        let active = self.active.insert(Active {
            first,
            file,
            len: 0,
            good: 0,
            synced: 0,
        });
        append_all(&*active.file, &mut [IoSlice::new(&head)])?;
        active.len = len;
        active.good = len;
        self.shared.counters.written.add(len);
        self.grow(first, len);
        if self.settings.fsync != Fsync::Never {
            self.storage.sync_names()?;
        }
        Ok(())
    }

    fn grow(&self, segment: u64, bytes: u64) {
        self.shared
            .book
            .with(|book| book.segments.grow(segment, bytes));
    }

    /// Nothing is appended to it any more.
    pub(super) fn close(&self, active: &Active) {
        self.shared
            .book
            .with(|book| book.segments.close(active.first, active.good));
    }
}
