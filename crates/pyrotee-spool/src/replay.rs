//! Hands what waits for a removed target to another one.
//!
//! One record is in memory at a time, charged to the budget, and the next is read when the target has
//! the one before. Nothing else has to give way: where a record could be taken only at the cost of
//! another one, the replay stops.

use std::io;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use pyrotee_queue::{Record, Reservation, lock};
use tokio::time::Instant;
use tracing::warn;

use crate::control::{Control, ReplayState};
use crate::entry::Location;
use crate::format::TargetId;
use crate::reader;
use crate::recovery::{Found, Scanner, head_of};
use crate::storage::File;

/// How often a queue or a budget without room is asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// Room that stays free beside a record: heads of segments, and what is accepted meanwhile.
const SPARE: u64 = 64 * 1024;

pub(crate) struct Mover {
    pub(crate) control: Control,
    /// Whose records.
    pub(crate) orphan: TargetId,
    /// Who gets them: its place among the targets.
    pub(crate) target: usize,
}

/// Why it stops before the end.
struct Stop(String);

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self(format!("the spool cannot be read: {error}"))
    }
}

impl Mover {
    pub(crate) fn run(self) {
        let state = match self.move_all() {
            Ok(()) => ReplayState::Done,
            Err(Stop(why)) => ReplayState::Stopped(why),
        };
        self.control
            .note(self.orphan, |replay| replay.state = state);
    }

    fn move_all(&self) -> Result<(), Stop> {
        let mut from = 0;
        while let Some(segment) = self.next_segment(from) {
            self.move_segment(segment)?;
            from = segment + 1;
        }
        Ok(())
    }

    fn next_segment(&self, from: u64) -> Option<u64> {
        self.control.shared.book.with(|book| {
            let orphan = book.orphans().find(|it| it.saved.id == self.orphan)?;
            orphan.pending.range(from..).next().map(|(first, _)| *first)
        })
    }

    fn wants(&self, number: u64) -> bool {
        self.control.shared.book.with(|book| {
            let orphan = book.orphans().find(|it| it.saved.id == self.orphan);
            orphan.is_some_and(|it| !it.saved.settled.contains(number))
        })
    }

    fn move_segment(&self, segment: u64) -> Result<(), Stop> {
        let shared = &self.control.shared;
        let Some(file) = shared.book.file(segment) else {
            // It was let go meanwhile, and counted.
            return Ok(());
        };
        let start = head_of(&*file)?.map_or(0, |(_, len)| len as u64);
        let len = shared.book.with(|book| {
            let segment = book.segments.get(segment);
            segment.map_or(0, |segment| segment.bytes)
        });
        let scanner = Scanner {
            file: Arc::clone(&file),
            len,
            crc: self.control.crc,
            bodies: false,
            numbers: segment..u64::MAX,
        };
        for found in scanner.run(start)?.found {
            if !found.whole || !found.takers.contains(&self.orphan) || !self.wants(found.number) {
                continue;
            }
            let location = Location {
                segment,
                offset: found.offset,
                before_body: found.before_body,
            };
            self.move_record(&*file, &found, location)?;
        }
        Ok(())
    }

    fn move_record(&self, file: &dyn File, found: &Found, location: Location) -> Result<(), Stop> {
        let bytes = found.bytes + u64::from(found.before_body) + Record::OVERHEAD;
        let reservation = self.reserve(bytes)?;
        let crc = self.control.crc;
        let (number, length) = (found.number, found.bytes);
        let read = reader::read(file, location, number, length, reservation, crc)?;
        let Some(record) = read else {
            warn!(
                segment = location.segment,
                offset = location.offset,
                "record in the spool is damaged"
            );
            let book = &self.control.shared.book;
            book.with(|book| book.segments.damage(location.segment));
            self.control.shared.counters.corrupt_records.add(1);
            self.settle(found, location.segment);
            return Ok(());
        };
        self.wait_for_room(bytes)?;
        let targets = self.target..self.target + 1;
        let (taken, receipt) = self.control.shared.offer(targets, &record);
        drop(record);
        if taken == 0 {
            return Err(Stop(
                "the target's queue is full, or the relay stops".to_owned(),
            ));
        }
        if let Some(receipt) = receipt
            && receipt.blocking_recv().is_err()
        {
            return Err(Stop(trouble()));
        }
        self.settle(found, location.segment);
        self.control.note(self.orphan, |replay| {
            replay.replayed.profiles += 1;
            replay.replayed.bytes += found.bytes;
        });
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> Result<Reservation, Stop> {
        let until = Instant::now() + self.control.patience;
        loop {
            if let Some(reservation) = self.control.shared.budget.reserve(bytes) {
                return Ok(reservation);
            }
            if Instant::now() >= until {
                return Err(Stop(
                    "memory-limit leaves no room: raise it or wait for the targets".to_owned(),
                ));
            }
            sleep(AGAIN);
        }
    }

    /// Waits until the record will be taken and written, and nothing goes for it.
    fn wait_for_room(&self, bytes: u64) -> Result<(), Stop> {
        let shared = &self.control.shared;
        let until = Instant::now() + self.control.patience;
        loop {
            let (closing, memory_only) = {
                let intake = lock(&shared.intake);
                (intake.closing, intake.memory_only)
            };
            if closing {
                return Err(Stop("the relay stops: what is left waits on".to_owned()));
            }
            if memory_only {
                return Err(Stop(trouble()));
            }
            let limit = self.control.max_bytes;
            let aside = shared.counters.quarantined_bytes.get().min(limit / 4);
            if shared.book.with(|book| book.segments.bytes()) + bytes + aside + SPARE > limit {
                return Err(Stop(
                    "the spool is full, and would lose its oldest profiles: raise spool.max-bytes or purge something"
                        .to_owned(),
                ));
            }
            let queue = shared.queues.get(self.target);
            if queue.is_some_and(|queue| queue.has_room(bytes)) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Stop(
                    "the target's queue has no room: raise its queue-size or queue-bytes, or wait"
                        .to_owned(),
                ));
            }
            sleep(AGAIN);
        }
    }

    /// The removed target is done with a record.
    fn settle(&self, found: &Found, segment: u64) {
        let shared = &self.control.shared;
        shared.book.with(|book| {
            let mut orphans = book.orphans.iter_mut();
            let Some(orphan) = orphans.find(|it| it.saved.id == self.orphan) else {
                return;
            };
            if orphan.saved.settled.contains(found.number) {
                // It was lost meanwhile, and with it its claim.
                return;
            }
            orphan.settle(found, segment);
            book.segments.release(segment, 1);
            book.unsaved += 1;
        });
        shared.book.bell.ring();
    }
}

fn trouble() -> String {
    "the spool's disk is in trouble: see the relay's log".to_owned()
}
