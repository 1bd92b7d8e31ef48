//! What can be done by hand to a spool that is open.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::thread::Builder;
use std::time::Duration;

use pyrotee_queue::{Reason, Tally, lock};
use tracing::{info, warn};

use crate::format::{Crc, TargetId};
use crate::inspect::QUARANTINED;
use crate::replay::Mover;
use crate::shared::Shared;
use crate::storage::Storage;

/// Longer than a deliverer that works takes for what is in memory.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A handle for whoever looks after a spool. It keeps nothing alive that works.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
    /// Whoever has it has the directory.
    pub(crate) storage: Weak<dyn Storage>,
    pub(crate) crc: Crc,
    pub(crate) max_bytes: u64,
    /// How long a replay waits for room before it says that there is none.
    pub(crate) patience: Duration,
    pub(crate) replay: Arc<Mutex<Option<Replay>>>,
}

/// What moves, or moved last, from a removed target to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The removed target.
    pub from: String,
    /// Who gets its records.
    pub to: String,
    /// Whether it still does.
    pub state: ReplayState,
    /// What `to` has taken.
    pub replayed: Tally,
    /// Records that still wait for `from`.
    pub left: u64,
}

/// How far a replay is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayState {
    /// It works.
    Running,
    /// Nothing waits for the removed target any more.
    Done,
    /// It ended before that: why, and what to do.
    Stopped(String),
}

/// Why a replay does not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There is one.
    #[error("a replay from {from} to {to} is not done yet: wait for it, see /api/v1/spool")]
    Running {
        /// The removed target of that one.
        from: String,
        /// Who gets its records.
        to: String,
    },
    /// It is delivered to already.
    #[error(
        "{from} is a target of this relay, which delivers what waits for it: only what a removed target left can be replayed"
    )]
    Configured {
        /// The target.
        from: String,
    },
    /// Nothing waits for a removed target of this name.
    #[error("nothing waits for a removed target {from}; there are: {}", known.join(", "))]
    UnknownFrom {
        /// The name.
        from: String,
        /// Names that there are.
        known: Vec<String>,
    },
    /// No target has this name.
    #[error("no target {to}; there are: {}", known.join(", "))]
    UnknownTo {
        /// The name.
        to: String,
        /// Names that there are.
        known: Vec<String>,
    },
    /// The operating system gives no thread.
    #[error("failed to start a thread: {0}")]
    Thread(String),
}

impl Control {
    /// Loses what waits for removed targets, or for the one of this name; who lost what.
    pub fn purge_removed(&self, name: Option<&str>) -> Vec<(String, Tally)> {
        let condemned =
            |orphan: &crate::book::Orphan| name.is_none_or(|name| orphan.saved.name == name);
        let lost = self.shared.lose_orphans(condemned, Reason::Admin);
        self.shared.book.bell.ring();
        lost
    }

    /// Deletes the damaged segments that were set aside: how many files, and their bytes.
    ///
    /// # Errors
    /// What the operating system says; some may be deleted then.
    pub fn purge_quarantined(&self) -> io::Result<Tally> {
        let mut purged = Tally::default();
        let storage = self.storage()?;
        for (name, len) in storage.list()? {
            if !name.ends_with(QUARANTINED) {
                continue;
            }
            storage.remove(&name)?;
            self.shared.counters.quarantined.sub(1);
            self.shared.counters.quarantined_bytes.sub(len);
            purged.profiles += 1;
            purged.bytes += len;
        }
        Ok(purged)
    }

    /// Begins to hand what waits for the removed target `from` to the target `to`, one record after
    /// the other on a thread of its own. A record counts as settled for `from` once `to` has it as
    /// safely as the spool promises.
    ///
    /// # Errors
    /// There is nothing to do, nobody to do it for, or it is being done.
    pub fn replay(&self, from: &str, to: &str) -> Result<Replay, ReplayError> {
        let (configured, orphans) = self.shared.book.with(|book| {
            let configured = book.cursors.iter().map(|it| it.name.clone());
            let orphans = book
                .orphans()
                .map(|it| (it.saved.name.clone(), it.saved.id));
            let orphans: Vec<(String, TargetId)> = orphans.collect();
            (configured.collect::<Vec<_>>(), orphans)
        });
        if configured.iter().any(|name| name == from) {
            let from = from.to_owned();
            return Err(ReplayError::Configured { from });
        }
        let Some(target) = configured.iter().position(|name| name == to) else {
            let (to, known) = (to.to_owned(), configured);
            return Err(ReplayError::UnknownTo { to, known });
        };
        let Some((_, orphan)) = orphans.iter().find(|(name, _)| name == from) else {
            let known = orphans.into_iter().map(|(name, _)| name).collect();
            let from = from.to_owned();
            return Err(ReplayError::UnknownFrom { from, known });
        };
        let mut current = lock(&self.replay);
        if let Some(Replay {
            from, to, state, ..
        }) = &*current
            && *state == ReplayState::Running
        {
            let (from, to) = (from.clone(), to.clone());
            return Err(ReplayError::Running { from, to });
        }
        let begun = Replay {
            from: from.to_owned(),
            to: to.to_owned(),
            state: ReplayState::Running,
            replayed: Tally::default(),
            left: self.waiting_for(*orphan),
        };
        let mover = Mover {
            control: self.clone(),
            orphan: *orphan,
            target,
        };
        let thread = Builder::new().name("spool-replay".to_owned());
        thread
            .spawn(move || mover.run())
            .map_err(|error| ReplayError::Thread(error.to_string()))?;
        info!(from, to, records = begun.left, "replay begins");
        *current = Some(begun.clone());
        Ok(begun)
    }

    /// The directory, as long as the spool is open.
    pub(crate) fn storage(&self) -> io::Result<Arc<dyn Storage>> {
        let closed = || io::Error::other("the spool is closed");
        self.storage.upgrade().ok_or_else(closed)
    }

    /// The replay that is under way, or was last.
    pub fn progress(&self) -> Option<Replay> {
        lock(&self.replay).clone()
    }

    pub(crate) fn waiting_for(&self, orphan: TargetId) -> u64 {
        self.shared.book.with(|book| {
            let mut orphans = book.orphans();
            let orphan = orphans.find(|it| it.saved.id == orphan);
            let shares = orphan.map(|orphan| orphan.pending.values());
            shares
                .into_iter()
                .flatten()
                .map(|it| it.tally.profiles)
                .sum()
        })
    }

    /// The replay moved on, or ended.
    pub(crate) fn note(&self, orphan: TargetId, change: impl FnOnce(&mut Replay)) {
        let left = self.waiting_for(orphan);
        let mut current = lock(&self.replay);
        let Some(replay) = &mut *current else { return };
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
