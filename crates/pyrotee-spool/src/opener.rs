//! The first task of the writer thread: it tries to open the directory until an attempt succeeds.
//!
//! Until then, offered records stay in memory, with numbers from [`PROVISIONAL`] on. The numbers that earlier processes
//! gave out are known when the directory is open. All provisional numbers are then lowered at once, so that they follow
//! the numbers of earlier processes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{FailureLevel, FailureLog, Panic, Part, lock};
use pyrotee_segments::{Crc, Storage};
use tracing::{error, info, warn};

use crate::Mode;
use crate::recovery::{self, Backlog};
use crate::settings::{OpenError, Settings};
use crate::shared::Shared;
use crate::spool_queue::{AllQueues, SpoolQueue};
use crate::tracker::PROVISIONAL;
use crate::writer::Writer;

/// The pause after the first failed attempt to open the directory. It doubles up to [`Settings::retry_after`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Opens the directory of a spool.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) shared: Arc<Shared>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) settings: Settings,
}

/// Whether a backlog was taken up.
enum TakeUp {
    /// Yes. Its records are still to be queued.
    Done,
    /// No, because targets have joined that the backlog does not know.
    Joined,
    /// No, because the spool is being closed.
    Closed,
}

impl Opener {
    /// Opens the directory, and then writes until the spool is closed.
    pub(crate) fn run(self) {
        let lifecycle = &self.shared.lifecycle;
        let supervisor = &self.shared.supervisor;
        while !lifecycle.is_stopping() {
            match supervisor.catch(Part::SpoolWrite, || self.open()) {
                Ok(Some(writer)) => return writer.run_despite_panics(),
                Ok(None) => break,
                Err(panic) => self.wait_after(&panic),
            }
        }
        // They were never written.
        self.shared.lose_unwritten();
    }

    /// Waits after a panic, before the next attempt to open the directory. If records of earlier processes may be
    /// queued already, there is no next attempt: waits until the spool is closed.
    fn wait_after(&self, panic: &Panic) {
        let lifecycle = &self.shared.lifecycle;
        lifecycle.set_waiting(&format!(
            "the writer thread panicked, which is a bug: {panic}; restart the relay"
        ));
        let mut waits = true;
        while waits && !lifecycle.is_stopping() {
            lifecycle.pause(self.settings.retry_after);
            waits = self.shared.crc.get().is_some();
        }
    }

    /// Tries to open the directory until that succeeds. `None`: the spool was closed before.
    fn open(&self) -> Option<Writer> {
        let lifecycle = &self.shared.lifecycle;
        let mut log = FailureLog::default();
        let mut pause = SHORTEST_PAUSE.min(self.settings.retry_after);
        while !lifecycle.is_stopping() {
            match self.attempt() {
                Ok(writer) => return writer,
                // The close ended the attempt, which is not a failure.
                Err(_) if lifecycle.is_stopping() => {}
                Err(error) => {
                    self.storage.release();
                    self.shared.counters.troubles.add(1);
                    let reason = error.reason();
                    let waited = lifecycle.set_waiting(&reason);
                    self.log_failure(log.level(&reason, waited), &reason, waited);
                    lifecycle.pause(pause);
                    pause = (2 * pause).min(self.settings.retry_after);
                }
            }
        }
        None
    }

    fn log_failure(&self, level: Option<FailureLevel>, reason: &str, waited: Duration) {
        let (dir, remedy) = (self.settings.dir.display(), Mode::Waiting.remedy());
        match level {
            Some(FailureLevel::Warning) => {
                warn!(%dir, reason, remedy, "spool cannot be opened yet, records stay in memory");
            }
            Some(FailureLevel::Error) => {
                let waited = Duration::from_secs(waited.as_secs());
                error!(%dir, ?waited, reason, remedy, "spool is not open, records stay in memory");
            }
            None => {}
        }
    }

    /// Opens the directory once. `None`: the spool was closed meanwhile.
    fn attempt(&self) -> Result<Option<Writer>, OpenError> {
        let shared = &self.shared;
        let recovered = recovery::read(&self.storage, &self.settings, &shared.lifecycle)?;
        let failed = |source| OpenError::Io {
            path: self.settings.dir.clone(),
            source,
        };
        let writer = Writer::new(
            Arc::clone(shared),
            Arc::clone(&self.storage),
            self.settings.clone(),
            recovered.salt,
            (recovered.cursors.generation, recovered.slot),
            recovered.cursors.steps.clone(),
        );
        let writer = writer.map_err(failed)?;
        let too_high = || failed(io::Error::other("record numbers are too high"));
        let by = PROVISIONAL.checked_sub(recovered.next_number());
        let by = by.ok_or_else(too_high)?;
        let now = self.settings.clock.now();
        loop {
            // No lock is held meanwhile: a target that joins must not wait for this.
            let names = shared.names();
            let mut backlog = Backlog::of(&recovered, &names, &shared.tracker, now);
            match self.take_up(&mut backlog, names.len(), by, recovered.salt) {
                TakeUp::Done => {
                    drop(recovered);
                    self.begin(backlog);
                    return Ok(Some(writer));
                }
                TakeUp::Joined => {}
                TakeUp::Closed => return Ok(None),
            }
        }
    }

    /// Replaces the tracker's state with that of `backlog`, which was made for the first `count` targets of this
    /// process, and lowers all provisional numbers by `by`.
    fn take_up(&self, backlog: &mut Backlog, count: usize, by: u64, salt: u64) -> TakeUp {
        let shared = &self.shared;
        let mut names = lock(&shared.names);
        let mut queues = AllQueues::clone(&shared.all_queues());
        if queues.len() != count {
            return TakeUp::Joined;
        }
        let mut intake = lock(&shared.intake);
        if intake.closing {
            return TakeUp::Closed;
        }
        // Set before a consumer can find a record that is on disk.
        shared.crc.get_or_init(|| Crc::salted(salt));
        intake.renumber(by);
        for queue in queues.iter() {
            queue.queue.renumber(by);
            queue.queue.limit_records(false);
        }
        let state = std::mem::take(&mut backlog.state);
        for (index, removed) in state.cursors.iter().enumerate().skip(count) {
            names.insert(removed.name.clone(), index);
            queues.push(Arc::new(SpoolQueue::of_removed(shared.clock.clone())));
        }
        shared.tracker.open(state, by, || {
            for write in &intake.writes {
                write.record.renumber(by);
            }
        });
        shared.queues.store(Arc::new(queues));
        intake.memory_only = false;
        TakeUp::Done
    }

    /// Adds the recovered records to queues and ledgers, and notes that the spool is open.
    fn begin(&self, backlog: Backlog) {
        let shared = &self.shared;
        let counters = &shared.counters;
        counters.corrupt_stretches.add(backlog.damages);
        counters.redelivered.add(backlog.redelivered);
        counters.quarantined.add(backlog.quarantined.profiles);
        counters.quarantined_bytes.add(backlog.quarantined.bytes);
        shared.count_unread();
        shared.lives.begin(&self.storage);
        for (target, queue) in shared.queues_by_id() {
            shared.lives.hold_back(target, &queue.queue);
        }
        // Without the lock of the intake: the queues take the records a batch at a time, because offers wait for the
        // locks of queues.
        backlog.adopted.apply(shared);
        self.log_removed();
        shared.lifecycle.set_open();
        self.log_open();
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

    fn log_removed(&self) {
        let removed = self.shared.removed_targets().into_iter();
        for (_, removed) in removed.filter(|(_, removed)| removed.has_records()) {
            let pending = removed.counts.pending.profiles + removed.unread;
            warn!(
                target = removed.name,
                pending,
                remedy = "configure the target again, or run pyrotee spool replay or pyrotee spool purge for it",
                "target is not configured: its pending profiles are kept for a day"
            );
        }
    }
}
