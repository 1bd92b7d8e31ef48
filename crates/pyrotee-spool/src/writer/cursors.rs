//! Saves the cursors in the two slots, and drops the records of targets that were removed too long ago.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_queue::{Reason, lock};
use pyrotee_segments::{CURSOR_SLOTS, ClockSteps, Cursors, File, SavedCursor, unix_seconds};
use tokio::time::Instant;

use super::Writer;
use crate::removed::RemovedTarget;
use crate::settings::{Fsync, Settings};

/// Pause between two timed saves of the cursors, as a multiple of the duration of a save: these saves take at most 1/50
/// of the writer's time.
const SAVE_SHARE: u32 = 50;

/// Number of synced saves after which both slots exist.
const SLOTS: u32 = 2;

/// The state of the two cursor slots.
#[derive(Debug)]
pub(super) struct CursorSlots {
    /// Generation of the cursors that were saved last.
    generation: u64,
    /// The slot that was synced last. The next save goes to the other slot, so that one slot is whole if the save
    /// fails.
    synced: usize,
    /// Number of synced saves. Until there are two, each save also syncs the directory, because it creates a slot.
    synced_saves: u32,
    /// Whether the cursors that were saved last are synced.
    last_is_synced: bool,
    last_save: Instant,
    /// How long the last save took.
    save_took: Duration,
    last_sync: Instant,
    /// Whether the saved horizons are behind, because records were written since, or because a removed target had
    /// unwritten records.
    pub(super) has_appended: bool,
}

/// Cursors that were saved, and are not synced yet.
#[derive(Debug, Clone)]
pub(super) struct SavedSlot {
    generation: u64,
    /// Segments without pending records, and whether each is damaged. These segments may be removed once the slot is
    /// synced: records that are pending according to the cursors must be in a segment.
    done: Vec<(u64, bool)>,
}

impl CursorSlots {
    pub(super) fn new((generation, synced): (u64, usize)) -> Self {
        let now = Instant::now();
        Self {
            generation,
            synced,
            synced_saves: 0,
            last_is_synced: false,
            last_save: now,
            save_took: Duration::ZERO,
            last_sync: now,
            has_appended: false,
        }
    }

    /// Whether both slots exist.
    pub(super) fn exist(&self) -> bool {
        self.synced_saves >= SLOTS
    }

    /// When the cursors are to be saved. `unsaved`: settlements since the last save. `None`: nothing has changed.
    pub(super) fn save_at(&self, unsaved: u64, settings: &Settings) -> Option<Instant> {
        // Cursors with many gaps are long and take long to save, so the pause grows.
        let pause = settings.save_after.max(SAVE_SHARE * self.save_took);
        (unsaved > 0 || self.has_appended).then(|| self.last_save + pause)
    }

    /// When the cursors are to be synced. `None`: the last save is synced.
    pub(super) fn sync_at(&self, settings: &Settings) -> Option<Instant> {
        (!self.last_is_synced).then(|| self.last_sync + settings.sync_cursors_after)
    }
}

impl Writer {
    /// Saves the cursors if they are to be saved or synced, or if a segment can be removed. Returns the saved slot and
    /// its file if they are to be synced.
    pub(super) fn save_if_due(&mut self) -> io::Result<Option<(SavedSlot, Arc<dyn File>)>> {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let sync_at = self.slots.sync_at(&self.settings);
        let syncs =
            !self.sync.is_busy() && (is_due(sync_at) || !self.removable_segments().is_empty());
        let unsaved = self.unsaved();
        let saves = unsaved >= self.settings.save_every
            || is_due(self.slots.save_at(unsaved, &self.settings));
        // A slot that is being synced is not overwritten.
        if self.sync.has_cursors() || !(saves || syncs) {
            return Ok(None);
        }
        let saved = self.save(false)?;
        if self.settings.fsync == Fsync::Never {
            self.note_cursors_synced(&saved.0);
            return Ok(None);
        }
        Ok(Some(saved).filter(|_| syncs))
    }

    /// Saves the cursors on this thread. Unless `fsync` is `Never`, syncs all records before the save, and the cursors
    /// after it. `clean`: no record will be written after this save.
    pub(super) fn save_durably(&mut self, clean: bool) -> io::Result<()> {
        self.sync_now()?;
        let (saved, file) = self.save(clean)?;
        if self.settings.fsync != Fsync::Never {
            file.sync()?;
            if !self.slots.exist() {
                self.storage.sync_names()?;
            }
        }
        self.note_cursors_synced(&saved);
        Ok(())
    }

    /// Notes that saved cursors survive a power loss, and removes the segments that have no pending records in these
    /// cursors.
    pub(super) fn note_cursors_synced(&mut self, saved: &SavedSlot) {
        // A slot that was overwritten meanwhile may be torn.
        if saved.generation != self.slots.generation {
            return;
        }
        self.slots.synced = 1 - self.slots.synced;
        self.slots.synced_saves = self.slots.synced_saves.saturating_add(1);
        self.slots.last_is_synced = true;
        self.slots.last_sync = Instant::now();
        self.remove_segments(&saved.done);
    }

    /// Overwrites the slot that was not synced last.
    fn save(&mut self, clean: bool) -> io::Result<(SavedSlot, Arc<dyn File>)> {
        let started = Instant::now();
        let done = self.removable_segments();
        let (cursors, unsaved, is_behind) = self.cursors(clean);
        let generation = cursors.generation;
        let content = cursors.encode();
        let [one, other] = CURSOR_SLOTS;
        let slot = if self.slots.synced == 0 { other } else { one };
        self.slots.last_save = started;
        let file = self.storage.overwrite(slot, &content)?;
        self.slots.generation = generation;
        self.slots.has_appended = is_behind;
        self.slots.last_is_synced = false;
        self.slots.save_took = started.elapsed();
        self.shared.counters.written.add(content.len() as u64);
        let tracker = &self.shared.tracker;
        tracker.with(|tracker| tracker.unsaved = tracker.unsaved.saturating_sub(unsaved));
        Ok((SavedSlot { generation, done }, file))
    }

    /// The cursors of this instant, how many settlements they save, and whether they do not tell yet of a removal.
    ///
    /// A target that was removed while records for it were not written yet is saved like a target in force until they
    /// are: the next process must not take the records that are written after these cursors for those of other targets.
    fn cursors(&self, clean: bool) -> (Cursors, u64, bool) {
        // Records below `next` were offered to all targets already, those below `horizon` were written or settled.
        let (next, horizon) = {
            let intake = lock(&self.shared.intake);
            let uncommitted = self.uncommitted.first();
            let unwritten = intake.writes.front().map(|write| write.record.number());
            let horizon = uncommitted.or(unwritten);
            (intake.next, horizon.unwrap_or(intake.next))
        };
        let now = unix_seconds(SystemTime::now());
        let queues = self.shared.all_queues();
        let in_flight = queues.iter().map(|it| it.queue.in_flight());
        let mut in_flight = in_flight.collect::<Vec<_>>().into_iter();
        self.shared.tracker.with(|tracker| {
            let removed = tracker.cursors.iter().filter_map(|cursor| cursor.removal);
            let latest = removed.map(|removal| removal.since).max();
            // The targets in force were seen later than any removed target, however the wall clock was set since the
            // removal.
            let last_seen = latest.map_or(now, |latest| now.max(latest.saturating_add(1)));
            let mut is_behind = false;
            let targets = tracker.cursors.iter().map(|cursor| {
                let removal = cursor.removal.filter(|it| it.horizon <= horizon);
                is_behind |= removal.is_some() != cursor.removal.is_some();
                SavedCursor {
                    id: cursor.id,
                    name: cursor.name.clone(),
                    last_seen: removal.map_or(last_seen, |it| it.since),
                    horizon: removal.map_or(horizon, |it| it.horizon),
                    settled: cursor.settled.clone(),
                    in_flight: in_flight.next().unwrap_or_default(),
                }
            });
            let mut targets: Vec<_> = targets.collect();
            // Readers take the targets that were seen last for those in force. If none is, a second entry of a removed
            // target, which nobody looks up, tells when the cursors were saved.
            let is_in_force = |it: &SavedCursor| it.last_seen == last_seen;
            let none_is = !targets.iter().any(is_in_force);
            let again = targets.first().filter(|_| none_is).cloned();
            targets.extend(again.map(|target| SavedCursor {
                last_seen,
                horizon,
                ..target
            }));
            let cursors = Cursors {
                generation: self.slots.generation + 1,
                salt: self.salt,
                next,
                clean,
                targets,
                unknown: tracker.unknown.clone(),
                steps: self.steps.clone(),
            };
            (cursors, tracker.unsaved, is_behind)
        })
    }

    /// Notes that the wall clock was set, for the ages of records in later processes.
    pub(super) fn note_clock_step(&mut self) {
        let step = self.settings.clock.step();
        let changes = {
            let mut intake = lock(&self.shared.intake);
            intake.note_clock_step(step);
            std::mem::take(&mut intake.clock_changes)
        };
        for (number, change) in changes {
            self.steps.push(number, change);
            self.shared.tracker.with(|tracker| tracker.unsaved += 1);
        }
        if self.steps.is_empty() {
            return;
        }
        let oldest = self.shared.tracker.with(|it| it.segments.oldest());
        match oldest {
            Some(oldest) => self.steps.forget_before(oldest),
            None => self.steps = ClockSteps::default(),
        }
    }

    /// Drops the pending records of targets that were removed too long ago, by a reload or before the start.
    pub(super) fn expire_removed_targets(&mut self, now: SystemTime) {
        let limit = self.settings.keep_removed_for;
        let is_lost = |it: &RemovedTarget| {
            let age = now.duration_since(it.since);
            age.is_ok_and(|age| age >= limit)
        };
        self.shared.lose_removed(is_lost, Reason::TargetRemoved);
    }
}
