//! What a spool is opened with, and why it is not.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{Budget, Ledger, Limits};

use crate::spool::{Spool, start};
use crate::storage::Disk;

/// Memory of one record on disk that one target wants: its share of the entry, its places in the
/// queue's maps (measured: 250 with three targets, 320 with one).
pub(crate) const CLAIM_BYTES: u64 = 320;

/// When what was written is made to survive a loss of power. A killed process loses nothing that
/// was written, whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before the receipt resolves.
    Always,
    /// Some time after.
    Interval(Duration),
    /// When the operating system likes to.
    Never,
}

/// A spool that is not open yet.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory. Nothing else should lie in it.
    pub dir: PathBuf,
    /// All segments together.
    pub max_bytes: u64,
    /// One segment; brought to between 1/512 and 1/4 of `max_bytes`.
    pub segment_bytes: u64,
    /// What may be kept in memory of records on disk; the oldest segment goes when it is more.
    pub index_bytes: u64,
    /// When to sync.
    pub fsync: Fsync,
    /// How long the data of a target that left the configuration is kept.
    pub orphan_age: Duration,
    /// Cursors are saved after so many settlements …
    pub save_every: u64,
    /// … and after this time at the latest. What was settled later comes again after a kill.
    pub save_after: Duration,
    /// They are synced after this time, if anything is; what was settled later comes again after a
    /// loss of power.
    pub sync_cursors_after: Duration,
    /// How long a disk in trouble is left alone.
    pub retry_after: Duration,
    /// How long the writer rests after work before it looks again. Longer means fewer system calls
    /// and later receipts.
    pub rest: Duration,
}

/// One target: its name, what of it may be held in memory, and its account.
pub type Target = (String, Limits, Arc<Ledger>);

/// Why a spool cannot be opened. Reads after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("lock {dir}: another process uses this spool; give each its own directory")]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A later pyrotee wrote it.
    #[error(
        "read {file}: it has version {version} of the spool format and was written by a newer pyrotee; \
         run that version until the spool is empty, or move the file away"
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The directory cannot be used.
    #[error("open spool {dir}")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl Settings {
    /// The defaults of pyrotee for a spool in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_bytes: 1 << 30,
            segment_bytes: 8 << 20,
            index_bytes: 64 << 20,
            fsync: Fsync::Interval(Duration::from_millis(100)),
            orphan_age: Duration::from_secs(24 * 60 * 60),
            save_every: 64,
            save_after: Duration::from_millis(10),
            sync_cursors_after: Duration::from_millis(100),
            retry_after: Duration::from_secs(5),
            rest: Duration::from_millis(1),
        }
    }

    /// Opens the spool; `budget` is charged for what is read back. Blocks while files are read.
    pub fn open(
        self,
        targets: impl IntoIterator<Item = Target>,
        budget: &Arc<Budget>,
    ) -> Result<Spool, OpenError> {
        let storage = Arc::new(Disk::new(&self.dir));
        start(self, storage, targets.into_iter().collect(), budget)
    }

    /// Length at which a segment is full.
    pub(crate) fn segment(&self) -> u64 {
        let (least, most) = (self.max_bytes / 512, self.max_bytes / 4);
        self.segment_bytes.clamp(least, most.max(least))
    }

    /// How many claims the index may hold.
    pub(crate) fn claims(&self) -> u64 {
        self.index_bytes / CLAIM_BYTES
    }

    /// The largest record, head and all.
    pub(crate) fn longest_record(&self) -> u64 {
        self.max_bytes / 2
    }
}
