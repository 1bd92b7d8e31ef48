//! The thread that writes records and cursors, and removes segments.
//!
//! All errors end up in one place: [`Writer::work`] returns them, and the spool is in memory-only mode until
//! `work` succeeds again.

mod append;
mod commit;
mod cursors;
mod evict;
mod memory_only;
mod panics;
mod remove;
mod reread;
mod sync;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::lock;
use pyrotee_segments::{ClockSteps, Crc, File, Storage};
use tokio::time::Instant;
use tracing::warn;

use crate::intake::PendingWrite;
use crate::settings::{Fsync, Settings};
use crate::shared::Shared;
use append::ActiveSegment;
use commit::Uncommitted;
use cursors::CursorSlots;
use evict::Evictions;
use reread::Reread;
use sync::SyncThread;

/// Longest sleep of the writer. It must notice in time that removed targets have expired.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) settings: Settings,
    pub(crate) salt: u64,
    slots: CursorSlots,
    active: Option<ActiveSegment>,
    /// Segments that may end in an incomplete record, because a write failed.
    torn: Vec<ActiveSegment>,
    uncommitted: Uncommitted,
    sync: SyncThread,
    last_sync: Instant,
    /// Closed segments that are not synced yet.
    unsynced_segments: Vec<Arc<dyn File>>,
    /// Whether files were created since the names in the directory were synced.
    names_unsynced: bool,
    /// When the next attempt to write is made. `None`: the disk works.
    retry_at: Option<Instant>,
    reread: Reread,
    /// Steps of the wall clock while earlier processes ran.
    earlier_steps: ClockSteps,
    /// The earlier steps, and the steps while this process ran.
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
        saved: (u64, usize),
        steps: ClockSteps,
    ) -> io::Result<Self> {
        let reread = Reread::new(settings.read_again_after);
        let sync = SyncThread::start(&storage, &shared)?;
        Ok(Self {
            shared,
            storage,
            settings,
            salt,
            slots: CursorSlots::new(saved),
            active: None,
            torn: Vec::new(),
            uncommitted: Uncommitted::default(),
            sync,
            last_sync: Instant::now(),
            unsynced_segments: Vec::new(),
            names_unsynced: false,
            retry_at: None,
            reread,
            earlier_steps: steps.clone(),
            steps,
            evictions: Evictions::default(),
            not_removed: BTreeMap::new(),
            panics: Vec::new(),
        })
    }

    /// Runs until the spool is closed.
    fn run(&mut self) {
        if let Err(error) = self.trim_quarantine(0) {
            self.note_mending_failure("*.corrupt", &error);
        }
        loop {
            let closing = lock(&self.shared.intake).closing;
            if closing || self.is_work_due() {
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
            let (wakeup, until_next) = (&self.shared.tracker.wakeup, self.until_next());
            // Receipts wait for the end of the sync job, which notifies the writer.
            match self.uncommitted.len() {
                0 => wakeup.wait(until_next),
                _ => wakeup.wait_for_notification(until_next),
            }
        }
    }

    /// Whether the disk works, or the next attempt to write is due.
    fn is_work_due(&mut self) -> bool {
        let Some(at) = self.retry_at else {
            return true;
        };
        // An error is ignored, because the disk is known to fail. While a sync hangs, the disk is not tried again.
        self.end_sync().ok();
        at <= Instant::now() && !self.sync.is_busy()
    }

    /// Does all writes, syncs and saves that are due.
    fn work(&mut self) -> io::Result<()> {
        if self.retry_at.is_some() {
            self.storage.prepare()?;
            self.truncate_torn_segments();
            self.remove_segments_first()?;
        }
        self.end_sync()?;
        self.write()?;
        self.note_clock_step();
        self.expire_removed_targets(self.settings.clock.now());
        // Creates both slots while the disk has space. Later saves overwrite them in place.
        while !self.slots.exist() {
            self.save_durably(false)?;
        }
        match self.retry_at {
            Some(_) => self.save_durably(false),
            None => self.save_and_sync(),
        }
    }

    /// Time until work is due, unless there is a notification before.
    fn until_next(&self) -> Duration {
        let now = Instant::now();
        let mut next = now + LONGEST_SLEEP;
        let again_at = self.not_removed.values().copied();
        let again_at = again_at
            .chain(self.reread_at())
            .chain(self.shared.lives.next_watch());
        if let Some(at) = again_at.min() {
            next = next.min(at);
        }
        if let Some(at) = self.retry_at {
            return at.min(next).saturating_duration_since(now);
        }
        let mut due = Vec::new();
        if !self.sync.has_cursors() {
            due.extend(self.slots.save_at(self.unsaved(), &self.settings));
        }
        // A sync job notifies the writer when it ends.
        if !self.sync.is_busy() {
            due.extend(self.slots.sync_at(&self.settings));
            due.extend(self.sync_at());
        }
        let next = due.into_iter().fold(next, Instant::min);
        next.saturating_duration_since(now)
    }

    fn unsaved(&self) -> u64 {
        self.shared.tracker.with(|tracker| tracker.unsaved)
    }

    /// When records are to be synced. `None`: all are synced, or `fsync` is `Never`.
    fn sync_at(&self) -> Option<Instant> {
        let active = self.active.as_ref();
        let is_unsynced = active.is_some_and(ActiveSegment::is_unsynced)
            || !self.unsynced_segments.is_empty()
            || self.names_unsynced;
        match self.settings.fsync {
            Fsync::Always => is_unsynced.then_some(self.last_sync),
            Fsync::Interval(interval) => is_unsynced.then(|| self.last_sync + interval),
            Fsync::Never => None,
        }
    }

    fn sync_is_due(&self) -> bool {
        self.sync_at().is_some_and(|at| at <= Instant::now())
    }

    /// Drops the records that could not be written, and saves the cursors for the next process.
    fn end(&mut self) {
        if self.retry_at.is_none()
            && let Err(error) = self.sync_now()
        {
            self.enter_memory_only(&error);
        }
        self.shared.lose_unwritten();
        self.shared.lives.close();
        if let Some(active) = self.active.take() {
            self.close(&active);
        }
        if let Err(error) = self.save_durably(self.retry_at.is_none()) {
            let error = &error as &dyn Error;
            warn!(error, "failed to save the cursors of the spool");
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
