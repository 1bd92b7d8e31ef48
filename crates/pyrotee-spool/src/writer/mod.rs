//! The thread that writes records and cursors, and removes segments.
//!
//! All errors end up in one place: [`Writer::work`] returns them, and the spool is in memory-only mode until
//! `work` succeeds again.

mod append;
mod evict;
mod memory_only;
mod panics;
mod remove;
mod reread;
mod tidy;

pub(crate) use tidy::seconds;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{Reason, lock};
use tokio::time::Instant;
use tracing::warn;

use crate::format::{ClockSteps, Crc, Names};
use crate::settings::{Fsync, Settings};
use crate::shared::{PendingWrite, Shared};
use crate::storage::Storage;
use append::ActiveSegment;
use evict::Evictions;
use reread::Reread;
use tidy::MustSurvive;

/// Longest sleep of the writer. It must notice in time that removed targets have expired.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Pause between two saves of the cursors, as a multiple of the duration of a save: saving takes at most this
/// fraction of the writer's time.
const SAVE_SHARE: u32 = 50;

/// Most unsynced bytes with `fsync: always`. Their records stay in memory until the sync.
const MOST_UNSYNCED: u64 = 4 << 20;

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) settings: Settings,
    pub(crate) salt: u64,
    pub(crate) names: Names,
    /// Generation of the cursors that were saved last.
    pub(crate) generation: u64,
    active: Option<ActiveSegment>,
    /// Segments that may end in an incomplete record, because a write failed.
    torn: Vec<ActiveSegment>,
    last_sync: Instant,
    last_save: Instant,
    /// How long the last save took that was not synced.
    save_took: Duration,
    last_cursor_sync: Instant,
    /// The slot that was synced last. The next save goes to the other one.
    synced_slot: usize,
    /// Number of synced saves. Until 2, each save also fsyncs the directory, because it creates a slot.
    synced_saves: u32,
    cursors_synced: bool,
    /// Whether records were written since the cursors were saved, so that their horizon is behind.
    has_appended: bool,
    /// When the next attempt to write is made. `None`: the disk works.
    retry_at: Option<Instant>,
    reread: Reread,
    /// Steps of the wall clock while earlier processes ran.
    earlier_steps: ClockSteps,
    /// Those, and the steps while this process ran.
    steps: ClockSteps,
    evictions: Evictions,
    /// Segments that could not be removed, and when each is tried again.
    not_removed: BTreeMap<u64, Instant>,
    /// Panics of this thread within the last minute.
    panics: Vec<Instant>,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        storage: Arc<dyn Storage>,
        settings: Settings,
        salt: u64,
        names: Names,
        (generation, synced_slot): (u64, usize),
        steps: ClockSteps,
    ) -> Self {
        let reread = Reread::new(settings.read_again_after);
        let now = Instant::now();
        Self {
            shared,
            storage,
            settings,
            salt,
            names,
            generation,
            active: None,
            torn: Vec::new(),
            last_sync: now,
            last_save: now,
            save_took: Duration::ZERO,
            last_cursor_sync: now,
            synced_slot,
            synced_saves: 0,
            cursors_synced: false,
            has_appended: false,
            retry_at: None,
            reread,
            earlier_steps: steps.clone(),
            steps,
            evictions: Evictions::default(),
            not_removed: BTreeMap::new(),
            panics: Vec::new(),
        }
    }

    /// Runs until the spool is closed.
    fn run(&mut self) {
        if let Err(error) = self.trim_quarantine(0) {
            self.note_mending_failure("*.corrupt", &error);
        }
        loop {
            let closing = lock(&self.shared.intake).closing;
            if closing || self.retry_at.is_none_or(|at| at <= Instant::now()) {
                match self.work() {
                    Ok(()) => self.leave_memory_only(),
                    Err(error) => self.enter_memory_only(&error),
                }
            }
            if closing {
                self.end();
                return;
            }
            self.reread_segments();
            self.shared.watch_life();
            self.shared.tracker.wakeup.wait(self.until_next());
        }
    }

    /// Does everything that is due.
    fn work(&mut self) -> io::Result<()> {
        if self.retry_at.is_some() {
            self.storage.prepare()?;
            self.truncate_torn_segments();
        }
        self.remove_done_segments()?;
        self.write()?;
        if self.sync_is_due() {
            self.sync()?;
        }
        self.note_clock_step();
        self.expire_removed_targets(self.settings.clock.now());
        // Creates both slots while the disk has space. Later saves overwrite them in place.
        while self.synced_saves < 2 {
            self.save(false, MustSurvive::PowerLoss)?;
        }
        if self.retry_at.is_some() || self.save_is_due() {
            let must_survive = if self.cursor_sync_is_due() {
                MustSurvive::PowerLoss
            } else {
                MustSurvive::Kill
            };
            self.save(false, must_survive)?;
        }
        self.remove_done_segments()
    }

    /// Time until work is due, unless there is a notification before.
    fn until_next(&self) -> Duration {
        let now = Instant::now();
        let mut next = now + LONGEST_SLEEP;
        let again_at = self.not_removed.values().copied();
        let again_at = again_at.chain(self.reread_at());
        if let Some(at) = again_at.chain(self.shared.lives.next_watch()).min() {
            next = next.min(at);
        }
        if let Some(at) = self.retry_at {
            return at.min(next).saturating_duration_since(now);
        }
        if self.unsaved() > 0 || self.has_appended {
            next = next.min(self.last_save + self.save_pause());
        }
        if !self.cursors_synced {
            next = next.min(self.last_cursor_sync + self.settings.sync_cursors_after);
        }
        if let (Fsync::Interval(interval), true) = (self.settings.fsync, self.is_unsynced()) {
            next = next.min(self.last_sync + interval);
        }
        next.saturating_duration_since(now)
    }

    fn unsaved(&self) -> u64 {
        self.shared.tracker.with(|tracker| tracker.unsaved)
    }

    fn save_is_due(&self) -> bool {
        let (unsaved, now) = (self.unsaved(), Instant::now());
        unsaved >= self.settings.save_every
            || (unsaved > 0 || self.has_appended) && self.last_save + self.save_pause() <= now
            || !self.cursors_synced && self.cursor_sync_is_due()
    }

    fn cursor_sync_is_due(&self) -> bool {
        self.last_cursor_sync + self.settings.sync_cursors_after <= Instant::now()
    }

    /// Pause between two saves. Cursors with many gaps are long and take long to save, so the pause grows.
    fn save_pause(&self) -> Duration {
        self.settings.save_after.max(SAVE_SHARE * self.save_took)
    }

    fn is_unsynced(&self) -> bool {
        self.active.as_ref().is_some_and(ActiveSegment::is_unsynced)
    }

    fn sync_is_due(&self) -> bool {
        let due = |interval| self.last_sync + interval <= Instant::now();
        match self.settings.fsync {
            Fsync::Always => true,
            Fsync::Interval(interval) => due(interval),
            Fsync::Never => false,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.last_sync = Instant::now();
        match &mut self.active {
            Some(active) => active.sync(),
            None => Ok(()),
        }
    }

    /// Drops the records that could not be written.
    fn lose_unwritten(&self) {
        let unwritten = std::mem::take(&mut lock(&self.shared.intake).writes);
        drop(unwritten);
        for queue in &self.shared.queues {
            queue.lose_in_memory(Reason::Shutdown);
        }
    }

    /// Drops the records that could not be written, and saves the cursors for the next process.
    fn end(&mut self) {
        self.lose_unwritten();
        if let Some(mut active) = self.active.take() {
            if self.settings.fsync != Fsync::Never
                && let Err(error) = active.sync()
            {
                warn!(error = &error as &dyn Error, "failed to sync the spool");
            }
            self.close(&active);
        }
        let clean = self.retry_at.is_none();
        self.shared.lives.close();
        if let Err(error) = self
            .remove_done_segments()
            .and_then(|()| self.save(clean, MustSurvive::PowerLoss))
        {
            warn!(
                error = &error as &dyn Error,
                "failed to save the cursors of the spool"
            );
        }
    }

    fn crc(&self) -> Crc {
        Crc::salted(self.salt)
    }
}

impl PendingWrite {
    /// Resolves the receipt, or makes it fail if the record is not durable.
    fn resolve(self, durable: bool) {
        if let (Some(receipt), true) = (self.receipt, durable) {
            // The receiver may be dropped.
            receipt.send(()).ok();
        }
    }
}
