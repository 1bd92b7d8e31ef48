//! Cursors are saved, segments end.

use std::io;
use std::time::{Duration, SystemTime};

use pyrotee_queue::{Reason, lock};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Writer;
use crate::book::{Ledgers, Orphan};
use crate::format::{CURSORS, Cursors, SavedCursor, segment_name};
use crate::settings::Fsync;

/// What a save is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survives {
    /// The end of the process: the operating system has it.
    Kill,
    /// The end of the machine as well, if the policy cares.
    PowerLoss,
}

impl Writer {
    /// Saves how far every target is, in the slot that was not synced last: whatever becomes of this one,
    /// the other is whole.
    pub(super) fn save(&mut self, clean: bool, survives: Survives) -> io::Result<()> {
        let started = Instant::now();
        // Whatever is numbered below was offered to all targets by now.
        let next = lock(&self.shared.intake).next;
        let now = seconds(SystemTime::now());
        let in_flight = self.shared.queues.iter().map(|queue| queue.in_flight());
        let mut in_flight = in_flight.collect::<Vec<_>>().into_iter();
        let (targets, unsaved) = self.shared.book.with(|book| {
            let cursors = book.cursors.iter().map(|cursor| SavedCursor {
                id: cursor.id,
                name: cursor.name.clone(),
                last_seen: now,
                horizon: next,
                settled: cursor.settled.clone(),
                in_flight: in_flight.next().unwrap_or_default(),
            });
            let orphans = book.orphans.iter().map(|orphan| orphan.saved.clone());
            (cursors.chain(orphans).collect(), book.unsaved)
        });
        let generation = self.generation + 1;
        let cursors = Cursors {
            generation,
            salt: self.salt,
            next,
            clean,
            targets,
        };
        let cares = self.settings.fsync != Fsync::Never;
        let sync = cares && survives == Survives::PowerLoss;
        let content = cursors.encode();
        let [one, other] = CURSORS;
        let slot = if self.slot == 0 { other } else { one };
        self.last_save = started;
        self.storage.overwrite(slot, &content, sync)?;
        if sync && self.slots < 2 {
            self.storage.sync_names()?;
        }
        self.generation = generation;
        self.cursors_synced = sync || !cares;
        if self.cursors_synced {
            self.slot = 1 - self.slot;
            self.slots = self.slots.saturating_add(1);
            self.last_cursor_sync = Instant::now();
        } else {
            self.save_took = started.elapsed();
        }
        self.shared.counters.written.add(content.len() as u64);
        self.shared
            .book
            .with(|book| book.unsaved = book.unsaved.saturating_sub(unsaved));
        Ok(())
    }

    /// Unlinks segments in which nothing is pending, and sets damaged ones aside.
    pub(super) fn retire(&mut self) -> io::Result<()> {
        let done = self.shared.book.with(|book| book.segments.done());
        if done.is_empty() {
            return Ok(());
        }
        // First the cursors: what they call pending must be in a segment.
        if self.unsaved() > 0 || !self.cursors_synced {
            match self.save(false, Survives::PowerLoss) {
                // On a disk that is full of our own segments, nothing but unlinking them helps.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
                saved => saved?,
            }
        }
        for (first, damaged) in done {
            self.remove(first, damaged)?;
        }
        Ok(())
    }

    fn remove(&mut self, first: u64, damaged: bool) -> io::Result<()> {
        let name = segment_name(first);
        let removed = if damaged {
            self.storage
                .rename(&name, &name.replace(".log", ".corrupt"))
        } else {
            self.storage.remove(&name)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.torn.retain(|torn| torn.first != first);
        let segment = self.shared.book.with(|book| book.segments.remove(first));
        if let (Some(segment), true) = (segment, damaged) {
            self.shared.counters.quarantined.add(1);
            self.shared.counters.quarantined_bytes.add(segment.bytes);
            warn!(segment = name, "damaged segment of the spool is set aside");
        }
        Ok(())
    }

    /// Lets the oldest segments go until `bytes` more fit, on disk and in the index.
    pub(super) fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let limit = self.settings.max_bytes;
        let quarantined = self.shared.counters.quarantined_bytes.get().min(limit / 4);
        let claims = self.settings.claims();
        let is_full = |book: &mut Ledgers| {
            book.segments.bytes() + bytes + quarantined > limit || book.segments.pending() > claims
        };
        while self.shared.book.with(is_full) {
            if !self.evict()? {
                break;
            }
        }
        Ok(())
    }

    /// Holds the reserve of free space: below it, a new segment takes the place of an old one.
    pub(super) fn keep_reserve(&mut self) -> io::Result<()> {
        let Ok(space) = self.storage.space() else {
            return Ok(());
        };
        self.shared.counters.free.set(space.free);
        let segment = self.settings.segment();
        let reserve = (space.total / 20).max(segment);
        if space.free < reserve.saturating_add(segment) && !self.evict()? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// Lets the oldest segment go; whether there was one.
    fn evict(&mut self) -> io::Result<bool> {
        let oldest = self.shared.book.with(|book| {
            let (first, segment, end) = book.segments.oldest()?;
            segment.closed.then_some((first, segment.damaged, end))
        });
        let Some((first, damaged, end)) = oldest else {
            return Ok(false);
        };
        let end = end.unwrap_or_else(|| {
            self.shared
                .queues
                .iter()
                .map(|queue| queue.in_memory_from())
                .max()
                .unwrap_or(0)
        });
        for queue in &self.shared.queues {
            queue.lose_below(end, Reason::SpoolFull);
        }
        let orphaned: u64 = self.shared.book.with(|book| {
            let orphans = book.orphans.iter_mut();
            orphans
                .filter_map(|orphan| orphan.lose_segment(first, end))
                .map(|share| share.tally.profiles)
                .sum()
        });
        self.shared.counters.orphans_dropped.add(orphaned);
        self.shared.counters.evicted_segments.add(1);
        self.save(false, Survives::PowerLoss)?;
        self.remove(first, damaged)?;
        info!(
            segment = first,
            orphaned, "spool is full, its oldest segment is lost"
        );
        Ok(true)
    }

    /// Loses what targets left behind that have been gone for too long.
    pub(super) fn drop_orphans(&mut self, now: SystemTime) {
        let limit = self.settings.orphan_age;
        let is_over = |orphan: &Orphan| is_over(orphan.saved.last_seen, limit, now);
        self.shared.lose_orphans(is_over, Reason::TargetRemoved);
    }

    /// Cuts the rests of failed writes off.
    pub(super) fn mend(&mut self) -> io::Result<()> {
        while let Some(torn) = self.torn.last() {
            torn.mend()?;
            self.torn.pop();
        }
        Ok(())
    }
}

fn is_over(last_seen: u64, limit: Duration, now: SystemTime) -> bool {
    seconds(now).saturating_sub(last_seen) >= limit.as_secs()
}

pub(crate) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
