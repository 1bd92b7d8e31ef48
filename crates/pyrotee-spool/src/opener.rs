//! The first part of the life of the writer thread: it opens the directory, as often as it takes.
//!
//! Until then the records that are offered stay in memory, with numbers from [`PROVISIONAL`] on. When the directory is
//! open, the numbers that earlier processes gave out are known. Then all provisional numbers are lowered at once, so
//! that they follow those.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{Reason, lock};
use tokio::time::Instant;
use tracing::info;

use crate::format::Crc;
use crate::recovery::{self, Adoption};
use crate::settings::{OpenError, Settings};
use crate::shared::Shared;
use crate::storage::Storage;
use crate::waiting::WaitLog;
use crate::writer::Writer;

/// The number of the first record that is offered, until the directory is open.
pub(crate) const PROVISIONAL: u64 = 1 << 62;

/// The pause after the first failure. It doubles up to [`Settings::retry_after`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Opens the directory of a spool.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) shared: Arc<Shared>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) settings: Settings,
    /// The names of the targets, in their order.
    pub(crate) names: Vec<String>,
}

impl Opener {
    /// Opens the directory, and then writes until the spool is closed.
    pub(crate) fn run(self) {
        match self.open() {
            Some(writer) => writer.run(),
            None => self.give_up(),
        }
    }

    /// Tries to open the directory until that succeeds. `None`: the spool was closed before.
    fn open(&self) -> Option<Writer> {
        let lifecycle = &self.shared.lifecycle;
        let mut log = WaitLog::default();
        let mut pause = SHORTEST_PAUSE.min(self.settings.retry_after);
        while !lifecycle.is_stopping() {
            match self.attempt() {
                Ok(writer) => return writer,
                // Nothing has failed.
                Err(_) if lifecycle.is_stopping() => {}
                Err(error) => {
                    self.storage.release();
                    self.shared.counters.troubles.add(1);
                    let reason = error.reason();
                    let since = lifecycle.set_waiting(&reason);
                    log.note(
                        &self.settings.dir,
                        &reason,
                        since,
                        Instant::now().into_std(),
                    );
                    lifecycle.pause(pause);
                    pause = (2 * pause).min(self.settings.retry_after);
                }
            }
        }
        None
    }

    /// Opens the directory once. `None`: the spool was closed meanwhile.
    fn attempt(&self) -> Result<Option<Writer>, OpenError> {
        let shared = &self.shared;
        let recovered = recovery::read(&self.storage, &self.settings, &shared.lifecycle)?;
        let (salt, slot) = (recovered.salt, recovered.slot);
        let (generation, steps) = (
            recovered.cursors.generation,
            recovered.cursors.steps.clone(),
        );
        let mut adoption = recovery::adopt(recovered, &self.names, &shared.tracker);
        let too_high = || {
            let source = io::Error::other("record numbers are too high");
            let path = self.settings.dir.clone();
            OpenError::Io { path, source }
        };
        let by = PROVISIONAL
            .checked_sub(adoption.next)
            .ok_or_else(too_high)?;
        let names = std::mem::take(&mut adoption.names);
        let crc = Crc::salted(salt);
        if !self.take_up(adoption, by, crc) {
            return Ok(None);
        }
        let writer = Writer::new(
            Arc::clone(shared),
            Arc::clone(&self.storage),
            self.settings.clone(),
            salt,
            names,
            (generation, slot),
            steps,
        );
        Ok(Some(writer))
    }

    /// Gives the recovered records to queues and ledgers, and lowers the provisional numbers `by` so many. `false`: the
    /// spool was closed before.
    fn take_up(&self, adoption: Adoption, by: u64, crc: Crc) -> bool {
        let shared = &self.shared;
        let mut intake = lock(&shared.intake);
        if intake.closing {
            return false;
        }
        // Before a consumer finds a record that is on disk.
        shared.crc.get_or_init(|| crc);
        intake.renumber(by);
        for queue in &shared.queues {
            queue.renumber(by);
            queue.limit_records(false);
        }
        shared.tracker.open(adoption.state, by, &intake.writes);
        intake.memory_only = false;
        drop(intake);
        shared.counters.take_up(&adoption.counters);
        shared.count_unread();
        // Without a lock: the queues take the records a batch at a time, because offers wait for their locks.
        for (queue, backlog) in shared.queues.iter().zip(adoption.backlogs) {
            queue.recover(backlog.claims, backlog.lost);
        }
        shared.lifecycle.set_open();
        self.log_open();
        true
    }

    fn log_open(&self) {
        let counters = &self.shared.counters;
        let bytes = self.shared.tracker.with(|it| it.segments.bytes());
        info!(
            dir = %self.settings.dir.display(),
            bytes,
            recovered = counters.recovered.get(),
            corrupt = counters.corrupt_records.get(),
            "spool is open"
        );
    }

    /// Drops the records that are in memory, because they were never written.
    fn give_up(&self) {
        let unwritten = std::mem::take(&mut lock(&self.shared.intake).writes);
        drop(unwritten);
        for queue in &self.shared.queues {
            queue.lose_in_memory(Reason::Shutdown);
        }
    }
}
