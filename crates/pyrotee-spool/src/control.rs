//! An operator's commands on an open spool.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::thread::Builder;
use std::time::Duration;

use pyrotee_queue::{Reason, Tally, lock};
use tracing::{info, warn};

use crate::format::{TargetId, quarantined_segment_of};
use crate::removed_target::RemovedTarget;
use crate::replay::ReplayWorker;
use crate::shared::Shared;
use crate::storage::Storage;

/// How long a replay waits for room: longer than a working target takes for the records that are in memory.
pub(crate) const ROOM_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a command cannot run yet.
const NOT_OPEN: &str = "the spool is not open yet: try again once its state is not `waiting`";

/// Runs an operator's commands on an open spool. It does not keep the spool open.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
    /// Cannot be upgraded once the spool is closed: another process may use the directory then.
    pub(crate) storage: Weak<dyn Storage>,
    pub(crate) max_bytes: u64,
    /// How long a replay waits for room in the budget or in the queue before it stops.
    pub(crate) room_timeout: Duration,
    /// The progress of the last replay.
    pub(crate) progress: Arc<Mutex<Option<ReplayProgress>>>,
}

/// The progress of a replay, which hands the pending records of a removed target to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayProgress {
    /// The name of the removed target.
    pub from: String,
    /// The name of the target that gets the records.
    pub to: String,
    /// Whether the replay is running.
    pub state: ReplayState,
    /// Records that `to` has queued.
    pub replayed: Tally,
    /// Records that are still pending for `from`.
    pub left: u64,
}

/// Whether a replay is running, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayState {
    /// The replay is running.
    Running,
    /// No record is pending for the removed target any more.
    Done,
    /// The replay ended before that: why, and what to do.
    Stopped(String),
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
        "{from} is a target of this relay, which delivers what waits for it: only what a removed target left can be replayed"
    )]
    Configured {
        /// The name of the target.
        from: String,
    },
    /// No removed target of this name has pending records.
    #[error("nothing waits for a removed target {from}; there are: {}", known.join(", "))]
    UnknownFrom {
        /// The name.
        from: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// No configured target has this name.
    #[error("no target {to}; there are: {}", known.join(", "))]
    UnknownTo {
        /// The name.
        to: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The operating system cannot start a thread: the text of its error.
    #[error("failed to start a thread: {0}")]
    Thread(String),
}

impl Control {
    /// Drops the pending records of all removed targets, or of the one with this name. Returns the name of
    /// each and how many records it lost.
    ///
    /// # Errors
    /// The spool is not open yet.
    pub fn purge_removed(&self, name: Option<&str>) -> io::Result<Vec<(String, Tally)>> {
        self.check_open()?;
        let is_lost = |removed: &RemovedTarget| name.is_none_or(|name| removed.saved.name == name);
        let lost = self.shared.lose_removed(is_lost, Reason::Admin);
        self.shared.tracker.wakeup.notify();
        Ok(lost)
    }

    /// Deletes the quarantined segments. Returns how many files they were, and their bytes.
    ///
    /// # Errors
    /// The spool is not open yet, or the operating system cannot list or delete files. Some may be deleted already.
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
    /// thread of its own. A record is settled for `from` once the receipt of its offer to `to` has resolved.
    ///
    /// # Errors
    /// The spool is not open yet, `from` has no pending records or is configured, `to` is not configured, another replay is running, or
    /// the thread cannot be started.
    pub fn replay(&self, from: &str, to: &str) -> Result<ReplayProgress, ReplayError> {
        let crc = self.shared.crc.get().copied();
        let crc = crc.filter(|_| self.shared.lifecycle.is_open());
        let crc = crc.ok_or(ReplayError::NotOpen)?;
        let (configured, removed) = self.shared.tracker.with(|tracker| {
            let configured = tracker.cursors.iter().map(|it| it.name.clone());
            let removed = tracker
                .removed_with_records()
                .map(|it| (it.saved.name.clone(), it.saved.id));
            let removed: Vec<(String, TargetId)> = removed.collect();
            (configured.collect::<Vec<_>>(), removed)
        });
        if configured.iter().any(|name| name == from) {
            let from = from.to_owned();
            return Err(ReplayError::Configured { from });
        }
        let Some(target) = configured.iter().position(|name| name == to) else {
            let (to, known) = (to.to_owned(), configured);
            return Err(ReplayError::UnknownTo { to, known });
        };
        let Some((_, id)) = removed.iter().find(|(name, _)| name == from) else {
            let known = removed.into_iter().map(|(name, _)| name).collect();
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
            left: self.pending_of_removed(*id),
        };
        let worker = ReplayWorker {
            control: self.clone(),
            from: *id,
            to: target,
            crc,
        };
        let thread = Builder::new().name("spool-replay".to_owned());
        thread
            .spawn(move || worker.run())
            .map_err(|error| ReplayError::Thread(error.to_string()))?;
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

    /// The progress of the last replay. `None`: none was begun.
    pub fn progress(&self) -> Option<ReplayProgress> {
        lock(&self.progress).clone()
    }

    fn pending_of_removed(&self, id: TargetId) -> u64 {
        self.shared.tracker.with(|tracker| {
            let removed = tracker.removed_target(id);
            removed.map_or(0, |removed| removed.pending().profiles)
        })
    }

    /// Updates the progress of the replay from the removed target `from`, and logs its end.
    pub(crate) fn update_progress(&self, from: TargetId, change: impl FnOnce(&mut ReplayProgress)) {
        let left = self.pending_of_removed(from);
        let mut progress = lock(&self.progress);
        let Some(replay) = &mut *progress else { return };
        replay.left = left;
        change(replay);
        match &replay.state {
            ReplayState::Running => {}
            ReplayState::Done => info!(
                from = replay.from,
                to = replay.to,
                records = replay.replayed.profiles,
                reason = Reason::Admin.as_str(),
                "replay is done"
            ),
            ReplayState::Stopped(why) => warn!(
                from = replay.from,
                to = replay.to,
                records = replay.replayed.profiles,
                left,
                why,
                "replay has stopped"
            ),
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}
