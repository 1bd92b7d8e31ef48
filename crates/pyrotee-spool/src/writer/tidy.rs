//! Saves the cursors, and removes segments.

use std::io;
use std::time::SystemTime;

use pyrotee_queue::{Reason, lock};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Writer;
use crate::format::{CURSOR_SLOTS, Cursors, SavedCursor, quarantined_name, segment_name};
use crate::removed_target::RemovedTarget;
use crate::settings::Fsync;
use crate::tracker::TrackerState;

/// What saved cursors must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MustSurvive {
    /// The end of the process: the save is not synced.
    Kill,
    /// A power loss: the save is synced, unless `fsync` is `Never`.
    PowerLoss,
}

impl Writer {
    /// Saves the cursors in the slot that was not synced last, so that the other slot is whole if the save
    /// fails. `clean`: no record will be written after this save.
    pub(super) fn save(&mut self, clean: bool, must_survive: MustSurvive) -> io::Result<()> {
        let started = Instant::now();
        // Records below this number were offered to all targets already.
        let next = lock(&self.shared.intake).next;
        let now = seconds(SystemTime::now());
        let in_flight = self.shared.queues.iter().map(|queue| queue.in_flight());
        let mut in_flight = in_flight.collect::<Vec<_>>().into_iter();
        let (targets, unknown, unsaved) = self.shared.tracker.with(|tracker| {
            let cursors = tracker.cursors.iter().map(|cursor| SavedCursor {
                id: cursor.id,
                name: cursor.name.clone(),
                last_seen: now,
                horizon: next,
                settled: cursor.settled.clone(),
                in_flight: in_flight.next().unwrap_or_default(),
            });
            let removed = tracker.removed.iter().map(|removed| removed.saved.clone());
            let targets = cursors.chain(removed).collect();
            (targets, tracker.unknown.clone(), tracker.unsaved)
        });
        let generation = self.generation + 1;
        let cursors = Cursors {
            generation,
            salt: self.salt,
            next,
            clean,
            targets,
            unknown,
        };
        let may_sync = self.settings.fsync != Fsync::Never;
        let sync = may_sync && must_survive == MustSurvive::PowerLoss;
        let content = cursors.encode();
        let [one, other] = CURSOR_SLOTS;
        let slot = if self.synced_slot == 0 { other } else { one };
        self.last_save = started;
        self.storage.overwrite(slot, &content, sync)?;
        if sync && self.synced_saves < 2 {
            self.storage.sync_names()?;
        }
        self.generation = generation;
        self.cursors_synced = sync || !may_sync;
        if self.cursors_synced {
            self.synced_slot = 1 - self.synced_slot;
            self.synced_saves = self.synced_saves.saturating_add(1);
            self.last_cursor_sync = Instant::now();
        } else {
            self.save_took = started.elapsed();
        }
        self.shared.counters.written.add(content.len() as u64);
        self.shared
            .tracker
            .with(|tracker| tracker.unsaved = tracker.unsaved.saturating_sub(unsaved));
        Ok(())
    }

    /// Removes the segments that have no pending records.
    pub(super) fn remove_done_segments(&mut self) -> io::Result<()> {
        let done = self.shared.tracker.with(|tracker| tracker.segments.done());
        if done.is_empty() {
            return Ok(());
        }
        // Cursors are saved first: records that are pending according to saved cursors must be in a segment.
        if self.unsaved() > 0 || !self.cursors_synced {
            match self.save(false, MustSurvive::PowerLoss) {
                // If our own segments fill the disk, only unlinking some of them makes room.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
                saved => saved?,
            }
        }
        for (first, damaged) in done {
            self.remove(first, damaged)?;
        }
        Ok(())
    }

    /// Unlinks a segment, or quarantines it if it is damaged.
    fn remove(&mut self, first: u64, damaged: bool) -> io::Result<()> {
        let name = segment_name(first);
        let removed = if damaged {
            self.storage.rename(&name, &quarantined_name(first))
        } else {
            self.storage.remove(&name)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.torn.retain(|torn| torn.first != first);
        self.shared.read_trouble.forget(first);
        let tracker = &self.shared.tracker;
        let segment = tracker.with(|tracker| tracker.segments.remove(first));
        if let (Some(segment), true) = (segment, damaged) {
            self.shared.counters.quarantined.add(1);
            self.shared.counters.quarantined_bytes.add(segment.bytes);
            warn!(segment = name, "damaged segment of the spool is set aside");
        }
        Ok(())
    }

    /// Evicts the oldest segments until `bytes` more fit, on disk and in the index.
    pub(super) fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let limit = self.settings.max_bytes;
        let quarantined = self.shared.quarantined_bytes(limit);
        let claims = self.settings.claims();
        let is_full = |tracker: &mut TrackerState| {
            let segments = &tracker.segments;
            segments.bytes() + bytes + quarantined > limit || segments.pending() > claims
        };
        while self.shared.tracker.with(is_full) {
            if !self.evict()? {
                break;
            }
        }
        Ok(())
    }

    /// Keeps a reserve of free space on the file system: below it, a new segment replaces the oldest one.
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

    /// Evicts a segment that cannot be read, or else the oldest one, and drops its pending records. `false`: no segment
    /// can be evicted.
    fn evict(&mut self) -> io::Result<bool> {
        let paused = self.shared.read_trouble.segments();
        let victim = self.shared.tracker.with(|tracker| {
            let segments = &tracker.segments;
            let unread = segments.unread().map(|(first, _)| first);
            let unreadable = unread.chain(paused).find(|first| {
                let segment = segments.get(*first);
                segment.is_some_and(|segment| segment.closed)
            });
            let first = unreadable.or(segments.oldest())?;
            let segment = segments.get(first).filter(|segment| segment.closed)?;
            let reason = match unreadable {
                Some(_) => Reason::DiskError,
                None => Reason::SpoolFull,
            };
            Some((first, segment.damaged, segments.next_after(first), reason))
        });
        let Some((first, damaged, end, reason)) = victim else {
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
            queue.lose_numbers(first..end, reason);
        }
        let unread = self.shared.lose_unread(first, reason);
        let lost_of_removed: u64 = self.shared.tracker.with(|tracker| {
            let removed = tracker.removed.iter_mut();
            removed
                .filter_map(|removed| removed.lose_segment(first, end))
                .map(|lost| lost.tally.profiles)
                .sum()
        });
        let lost_of_removed = unread + lost_of_removed;
        self.shared.counters.lost_of_removed.add(lost_of_removed);
        self.shared.counters.evicted_segments.add(1);
        self.save(false, MustSurvive::PowerLoss)?;
        self.remove(first, damaged)?;
        info!(
            segment = first,
            orphaned = lost_of_removed,
            reason = reason.as_str(),
            "spool is full, a segment is lost"
        );
        Ok(true)
    }

    /// Drops the pending records of targets that were removed too long ago.
    pub(super) fn expire_removed_targets(&mut self, now: SystemTime) {
        let limit = self.settings.keep_removed_for.as_secs();
        let age = |removed: &RemovedTarget| seconds(now).saturating_sub(removed.saved.last_seen);
        let is_lost = |removed: &RemovedTarget| age(removed) >= limit;
        self.shared.lose_removed(is_lost, Reason::TargetRemoved);
    }

    /// Cuts off what failed writes left at the ends of segments.
    pub(super) fn truncate_torn_segments(&mut self) -> io::Result<()> {
        while let Some(torn) = self.torn.last() {
            torn.truncate()?;
            self.torn.pop();
        }
        Ok(())
    }
}

/// Seconds since the epoch.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
