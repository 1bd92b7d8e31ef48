//! Saves the cursors, and drops what removed targets left for too long.

use std::io;
use std::time::SystemTime;

use pyrotee_queue::{Reason, lock};
use tokio::time::Instant;

use super::Writer;
use crate::format::{CURSOR_SLOTS, ClockSteps, Cursors, SavedCursor};
use crate::removed_target::RemovedTarget;
use crate::settings::Fsync;

/// What saved cursors must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MustSurvive {
    /// The end of the process: the save is not synced.
    Kill,
    /// A power loss: the save is synced, unless `fsync` is `Never`.
    PowerLoss,
}

impl Writer {
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

    /// Saves the cursors in the slot that was not synced last, so that the other slot is whole if the save
    /// fails. `clean`: no record will be written after this save.
    pub(super) fn save(&mut self, clean: bool, must_survive: MustSurvive) -> io::Result<()> {
        let started = Instant::now();
        // Records below `next` were offered to all targets already, those below `horizon` were written or settled.
        let (next, horizon) = {
            let intake = lock(&self.shared.intake);
            let unwritten = intake.writes.front().map(|write| write.record.number());
            (intake.next, unwritten.unwrap_or(intake.next))
        };
        let now = seconds(SystemTime::now());
        let in_flight = self.shared.queues.iter().map(|queue| queue.in_flight());
        let mut in_flight = in_flight.collect::<Vec<_>>().into_iter();
        let (targets, unknown, unsaved) = self.shared.tracker.with(|tracker| {
            let cursors = tracker.cursors.iter().map(|cursor| SavedCursor {
                id: cursor.id,
                name: cursor.name.clone(),
                last_seen: now,
                horizon,
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
            steps: self.steps.clone(),
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
        self.has_appended = false;
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

    /// Drops the pending records of targets that were removed too long ago.
    pub(super) fn expire_removed_targets(&mut self, now: SystemTime) {
        let limit = self.settings.keep_removed_for.as_secs();
        let age = |removed: &RemovedTarget| seconds(now).saturating_sub(removed.saved.last_seen);
        let is_lost = |removed: &RemovedTarget| age(removed) >= limit;
        self.shared.lose_removed(is_lost, Reason::TargetRemoved);
    }
}

/// Seconds since the epoch.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
