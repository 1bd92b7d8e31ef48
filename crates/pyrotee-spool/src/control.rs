//! An operator's commands on an open spool.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::thread::Builder;
use std::time::Duration;

use pyrotee_queue::{Part, QueueId, Reason, Tally, lock};
use pyrotee_segments::{Storage, quarantined_segment_of};
use tokio::runtime;
use tracing::info;

use crate::backend::SpoolConsumer;
use crate::reader::RunningSpool;
use crate::removed::RemovedTarget;
use crate::replay::{Replay, ReplayProgress, ReplayState};
use crate::shared::Shared;

/// How long a replay waits for room. A working target delivers the records that are in memory in less time.
pub(crate) const ROOM_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a command cannot run yet.
const NOT_OPEN: &str = "the spool is not open yet: try again once its state is not `waiting`";

/// Runs an operator's commands on an open spool. It does not keep the spool open.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
    /// Cannot be upgraded once the spool is closed: another process may use the directory then.
    pub(crate) storage: Weak<dyn Storage>,
    /// Cannot be upgraded once producer, consumers and leases are dropped.
    pub(crate) running: Weak<RunningSpool>,
    pub(crate) max_bytes: u64,
    /// How long a replay waits for room in the budget or in the queue before it stops.
    pub(crate) room_timeout: Duration,
    /// The progress of the last replay.
    pub(crate) progress: Arc<Mutex<Option<ReplayProgress>>>,
}

/// Why a replay cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The spool is not open yet.
    #[error("{NOT_OPEN}")]
    NotOpen,
    /// Another replay is running.
    #[error("a replay from {from} to {to} is not done yet: wait for it, see /api/v1/spool")]
    Running {
        /// The removed target of the running replay.
        from: String,
        /// The target that gets the records.
        to: String,
    },
    /// The target is configured, so its records are delivered already.
    #[error(
        "{from} is a configured target, so its pending profiles are delivered already: only those of a removed target can be replayed"
    )]
    Configured {
        /// The name of the target.
        from: String,
    },
    /// No removed target of this name has pending records.
    #[error("no removed target {from} has pending profiles; there are: {}", known.join(", "))]
    UnknownFrom {
        /// The unknown name.
        from: String,
        /// The names of the removed targets that have pending records.
        known: Vec<String>,
    },
    /// No configured target has this name.
    #[error("no target {to}; there are: {}", known.join(", "))]
    UnknownTo {
        /// The unknown name.
        to: String,
        /// The names of the configured targets.
        known: Vec<String>,
    },
    /// The operating system cannot start a thread: the text of its error.
    #[error("failed to start a thread: {0}")]
    Thread(String),
}

impl Control {
    /// Drops the pending records of all removed targets, or of the removed target `name`. Returns the name of each
    /// target that lost records, and how many.
    ///
    /// # Errors
    /// The spool is not open yet.
    pub fn purge_removed(&self, name: Option<&str>) -> io::Result<Vec<(String, Tally)>> {
        self.check_open()?;
        let is_lost = |it: &RemovedTarget| name.is_none_or(|name| it.name == name);
        let lost = self.shared.lose_removed(is_lost, Reason::Admin);
        self.shared.tracker.wakeup.notify();
        Ok(lost)
    }

    /// Deletes the quarantined segments. Returns the number of files, and their bytes.
    ///
    /// # Errors
    /// The spool is not open yet, or the operating system cannot list or delete files. Some files may be deleted
    /// already.
    pub fn purge_quarantined(&self) -> io::Result<Tally> {
        let mut purged = Tally::default();
        let storage = self.storage()?;
        for (name, len) in storage.list()? {
            if quarantined_segment_of(&name).is_none() {
                continue;
            }
            storage.remove(&name)?;
            self.shared.counters.quarantined.sub(1);
            self.shared.counters.quarantined_bytes.sub(len);
            purged.add(len);
        }
        Ok(purged)
    }

    /// Begins to hand the pending records of the removed target `from` to the target `to`, one at a time, on a
    /// thread of its own. A record is settled for `from` once the receipt of its offer to `to` has resolved. If `from` is
    /// being drained, the consumer of its deliverer leases no more, as after `end_draining`.
    ///
    /// # Errors
    /// The spool is not open yet, `from` has no pending records or is configured, `to` is not configured, another replay
    /// is running, or the thread cannot be started.
    pub fn replay(&self, from: &str, to: &str) -> Result<ReplayProgress, ReplayError> {
        self.check_open().map_err(|_| ReplayError::NotOpen)?;
        let shared = &self.shared;
        // Held until the records belong to the replay, so that the target cannot return before.
        let names = lock(&shared.names);
        let configured = shared.names_in_force();
        if configured.iter().any(|(_, name)| name == from) {
            let from = from.to_owned();
            return Err(ReplayError::Configured { from });
        }
        let Some((target, _)) = configured.iter().find(|(_, name)| name == to) else {
            let (to, known) = (to.to_owned(), configured.into_iter());
            let known = known.map(|(_, name)| name).collect();
            return Err(ReplayError::UnknownTo { to, known });
        };
        let mut removed = shared.removed_targets();
        removed.retain(|(_, it)| it.has_records());
        let found = removed.iter().find(|(_, it)| it.name == from);
        let queue = found.and_then(|(index, _)| shared.queue(*index));
        let (Some((index, found)), Some(queue), Some(running)) =
            (found, queue, self.running.upgrade())
        else {
            let known = removed.into_iter().map(|(_, it)| it.name).collect();
            let from = from.to_owned();
            return Err(ReplayError::UnknownFrom { from, known });
        };
        let mut progress = lock(&self.progress);
        if let Some(ReplayProgress {
            from, to, state, ..
        }) = &*progress
            && *state == ReplayState::Running
        {
            let (from, to) = (from.clone(), to.clone());
            return Err(ReplayError::Running { from, to });
        }
        let begun = ReplayProgress {
            from: from.to_owned(),
            to: to.to_owned(),
            state: ReplayState::Running,
            replayed: Tally::default(),
            left: found.counts.pending.profiles,
        };
        queue.end_delivery();
        let replay = Replay {
            shared: Arc::clone(shared),
            consumer: SpoolConsumer::new(running, *index, queue),
            from: *index,
            to: QueueId(*target),
            max_bytes: self.max_bytes,
            room_timeout: self.room_timeout,
            progress: Arc::clone(&self.progress),
        };
        drop(names);
        let failed = |error: io::Error| ReplayError::Thread(error.to_string());
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(failed)?;
        let thread = Builder::new().name(Part::SpoolReplay.as_str().to_owned());
        let run = move || runtime.block_on(replay.run());
        thread.spawn(run).map_err(failed)?;
        info!(from, to, records = begun.left, "replay begins");
        *progress = Some(begun.clone());
        Ok(begun)
    }

    fn check_open(&self) -> io::Result<()> {
        match self.shared.lifecycle.is_open() {
            true => Ok(()),
            false => Err(io::Error::other(NOT_OPEN)),
        }
    }

    /// The directory, while the spool is open.
    pub(crate) fn storage(&self) -> io::Result<Arc<dyn Storage>> {
        self.check_open()?;
        let closed = || io::Error::other("the spool is closed");
        self.storage.upgrade().ok_or_else(closed)
    }

    /// The progress of the last replay. `None`: no replay was begun.
    pub fn progress(&self) -> Option<ReplayProgress> {
        lock(&self.progress).clone()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}
