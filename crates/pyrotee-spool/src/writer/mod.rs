//! The thread that writes: records, cursors, and the end of segments.
//!
//! Whatever fails, fails in one place: [`Writer::work`] returns the error, and the process goes on
//! in memory until work succeeds again.

mod append;
mod tidy;

pub(crate) use tidy::seconds;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_queue::{Reason, lock};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::format::{Crc, Names};
use crate::settings::{Fsync, Settings};
use crate::shared::{Job, Shared};
use crate::storage::Storage;
use append::Active;
use tidy::Survives;

/// Often enough to see that a target has been gone for a day.
const ROUNDS: Duration = Duration::from_secs(60);

/// A save takes one part in so many of the writer's time, at most.
const SAVE_SHARE: u32 = 50;

/// Unsynced bytes whose bodies memory must hold, at most, before they are synced.
const GROUP: u64 = 4 << 20;

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) settings: Settings,
    pub(crate) salt: u64,
    pub(crate) names: Names,
    /// Of the cursor slot that was written last.
    pub(crate) generation: u64,
    active: Option<Active>,
    /// Segments that end in the rest of a write that failed, and their good length.
    torn: Vec<Active>,
    last_sync: Instant,
    last_save: Instant,
    /// How long that took, without a sync.
    save_took: Duration,
    last_cursor_sync: Instant,
    /// The slot that was synced last; the next save is to the other.
    slot: usize,
    /// Saves that were synced, names included: both slots are there after two.
    slots: u32,
    cursors_synced: bool,
    /// The disk is in trouble, and left alone until then.
    retry_at: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        storage: Arc<dyn Storage>,
        settings: Settings,
        salt: u64,
        names: Names,
        (generation, slot): (u64, usize),
    ) -> Self {
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
            slot,
            slots: 0,
            cursors_synced: false,
            retry_at: None,
        }
    }

    /// Works until it is asked to end.
    pub(crate) fn run(mut self) {
        loop {
            let closing = lock(&self.shared.intake).closing;
            if closing || self.retry_at.is_none_or(|at| at <= Instant::now()) {
                match self.work() {
                    Ok(()) => self.recovered(),
                    Err(error) => self.trouble(&error),
                }
            }
            if closing {
                self.end();
                return;
            }
            self.shared.book.bell.wait(self.until_next());
        }
    }

    /// Everything that is due.
    fn work(&mut self) -> io::Result<()> {
        if self.retry_at.is_some() {
            self.storage.prepare()?;
            self.mend()?;
        }
        self.retire()?;
        self.write()?;
        if self.sync_is_due() {
            self.sync()?;
        }
        self.drop_orphans(SystemTime::now());
        // While there is space: later ones take none.
        while self.slots < 2 {
            self.save(false, Survives::PowerLoss)?;
        }
        if self.retry_at.is_some() || self.save_is_due() {
            let survives = if self.cursor_sync_is_due() {
                Survives::PowerLoss
            } else {
                Survives::Kill
            };
            self.save(false, survives)?;
        }
        self.retire()
    }

    fn until_next(&self) -> Duration {
        let now = Instant::now();
        let mut next = now + ROUNDS;
        if let Some(at) = self.retry_at {
            return at.saturating_duration_since(now);
        }
        if self.unsaved() > 0 {
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
        self.shared.book.with(|book| book.unsaved)
    }

    fn save_is_due(&self) -> bool {
        let (unsaved, now) = (self.unsaved(), Instant::now());
        unsaved >= self.settings.save_every
            || unsaved > 0 && self.last_save + self.save_pause() <= now
            || !self.cursors_synced && self.cursor_sync_is_due()
    }

    fn cursor_sync_is_due(&self) -> bool {
        self.last_cursor_sync + self.settings.sync_cursors_after <= Instant::now()
    }

    /// Cursors with many gaps are long: saving them may not become the main thing.
    fn save_pause(&self) -> Duration {
        self.settings.save_after.max(SAVE_SHARE * self.save_took)
    }

    fn is_unsynced(&self) -> bool {
        self.active.as_ref().is_some_and(Active::is_unsynced)
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

    /// The disk failed: nothing that waits will be durable soon.
    fn trouble(&mut self, error: &io::Error) {
        if let Some(active) = self.active.take() {
            self.close(&active);
            self.torn.push(active);
        }
        let mut intake = lock(&self.shared.intake);
        let before = intake.memory_only;
        intake.memory_only = true;
        let receipts: Vec<_> = intake
            .jobs
            .iter_mut()
            .map(|job| job.receipt.take())
            .collect();
        drop(intake);
        // Before anybody learns of it.
        self.shared.counters.memory_only.set(1);
        self.shared.counters.troubles.add(1);
        for receipt in receipts.into_iter().flatten() {
            // With a promise of the disk, the end of a receipt says that it is broken.
            if !self.shared.promises {
                receipt.send(()).ok();
            }
        }
        self.retry_at = Some(Instant::now() + self.settings.retry_after);
        if !before {
            let dir = self.settings.dir.display();
            warn!(%dir, error = error as &dyn Error, "spool cannot write, records stay in memory");
        }
    }

    fn recovered(&mut self) {
        if self.retry_at.take().is_some() {
            lock(&self.shared.intake).memory_only = false;
            self.shared.counters.memory_only.set(0);
            let dir = self.settings.dir.display();
            info!(%dir, "spool writes again");
        }
    }

    /// What could not be written is lost; what was written waits for the next process.
    fn end(&mut self) {
        let left = std::mem::take(&mut lock(&self.shared.intake).jobs);
        drop(left);
        for queue in &self.shared.queues {
            queue.lose_in_memory(Reason::Shutdown);
        }
        if let Some(mut active) = self.active.take() {
            if self.settings.fsync != Fsync::Never
                && let Err(error) = active.sync()
            {
                warn!(error = &error as &dyn Error, "failed to sync the spool");
            }
            self.close(&active);
        }
        let clean = self.retry_at.is_none();
        if let Err(error) = self
            .retire()
            .and_then(|()| self.save(clean, Survives::PowerLoss))
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

impl Job {
    /// Tells whoever waits what became of the record.
    fn answer(self, durable: bool) {
        if let (Some(receipt), true) = (self.receipt, durable) {
            // Nobody has to wait for it.
            receipt.send(()).ok();
        }
    }
}
