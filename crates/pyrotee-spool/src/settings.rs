//! The settings of a spool, and why it cannot be opened yet.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyrotee_queue::{Budget, Ledger, Limits, StepClock};
use rustix::process::{Resource, getrlimit};

use crate::open_spool::{OpenSpool, start_in};
use crate::storage::Disk;

/// Bytes of memory per record on disk and target that has not settled it: the target's share of the spooled
/// record and its entries in the queue's maps (measured: 250 with three targets, 320 with one).
pub(crate) const CLAIM_BYTES: u64 = 320;

/// When written records are synced, so that they survive a power loss. Written records survive the end of the
/// process whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before the receipt resolves.
    Always,
    /// This long after they were written.
    Interval(Duration),
    /// Never; the operating system writes them back when it chooses to.
    Never,
}

/// The settings of a spool. [`Settings::start`] starts it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory. It should contain no other files.
    pub dir: PathBuf,
    /// Most bytes of all segments. At the limit the oldest segment is evicted.
    pub max_bytes: u64,
    /// Bytes of a full segment; clamped to between 1/512 and 1/4 of `max_bytes`.
    pub segment_bytes: u64,
    /// Most bytes of memory for the index of records on disk. At the limit the oldest segment is evicted.
    pub index_bytes: u64,
    /// Most segments that are kept open. Those beyond are opened for each read.
    pub open_files: usize,
    /// When written records are synced.
    pub fsync: Fsync,
    /// How long the pending records of a removed target are kept.
    pub keep_removed_for: Duration,
    /// Number of settlements after which the cursors are saved.
    pub save_every: u64,
    /// Time after which the cursors are saved at the latest. Records that were settled since the last save are
    /// delivered again if the process is killed.
    pub save_after: Duration,
    /// Time after which saved cursors are synced, unless `fsync` is `Never`. Records that were settled since
    /// the last sync are delivered again after a power loss.
    pub sync_cursors_after: Duration,
    /// Time until the next attempt to write after the disk failed, and the longest one until the next attempt to open the
    /// directory.
    pub retry_after: Duration,
    /// Time until the next attempt to read a segment that the disk did not return. It doubles up to 30 times this.
    pub read_again_after: Duration,
    /// Tells how far the wall clock was set, so that the age of a record does not depend on it.
    pub clock: StepClock,
    /// Minimum sleep of the writer thread after a batch. A longer sleep means fewer system calls and later
    /// receipts.
    pub min_sleep: Duration,
}

/// The queue of one target: the target's name, the limits of its records in memory, and its account.
pub type TargetQueue = (String, Limits, Arc<Ledger>);

/// Why a spool cannot be opened now. The text reads after "failed to", and says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another process has the spool open.
    #[error(
        "lock {dir}: another process uses this spool; if that is not a relay that is about to stop, give each relay \
         its own directory"
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A file was written by a newer pyrotee, in a later version of the format.
    #[error(
        "read {file}: it has version {version} of the spool format and was written by a newer pyrotee; \
         run that version until the spool is empty, or move the file away"
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// The directory or a file in it cannot be used.
    #[error("open {path} ({source}); check its owner, its permissions and its file system")]
    Io {
        /// The directory or the file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The spool is being closed.
    #[error("open the spool, because it is being closed")]
    Stopped,
}

impl OpenError {
    /// The reason as a sentence for the log and for an operator.
    pub(crate) fn reason(&self) -> String {
        format!("failed to {self}")
    }
}

impl Settings {
    /// The default settings for a spool in `dir`. Half of the files that the process can open are left to connections.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_bytes: 1 << 30,
            segment_bytes: 8 << 20,
            index_bytes: 64 << 20,
            open_files: half_of_open_files(),
            fsync: Fsync::Interval(Duration::from_millis(100)),
            keep_removed_for: Duration::from_secs(24 * 60 * 60),
            save_every: 64,
            save_after: Duration::from_millis(10),
            sync_cursors_after: Duration::from_millis(100),
            retry_after: Duration::from_secs(5),
            read_again_after: Duration::from_secs(1),
            clock: StepClock::system(),
            min_sleep: Duration::from_millis(1),
        }
    }

    /// Starts a spool with one queue per target. Its queues work at once, in memory; [`Monitor::opening`] tells whether
    /// the directory is open. Records that are read back are charged to `budget`.
    ///
    /// [`Monitor::opening`]: crate::Monitor::opening
    pub fn start(
        self,
        targets: impl IntoIterator<Item = TargetQueue>,
        budget: &Arc<Budget>,
    ) -> OpenSpool {
        let storage = Arc::new(Disk::new(&self.dir));
        start_in(self, storage, targets.into_iter().collect(), budget)
    }

    /// Most bytes of all quarantined segments. The oldest are deleted beyond that.
    pub(crate) fn quarantine(&self) -> u64 {
        self.max_bytes / 4
    }

    /// Free space of the file system that the spool leaves to others, in bytes, if it has `total` bytes: 5 %, and no
    /// more than a quarter of `max_bytes` or two segments.
    pub(crate) fn reserve(&self, total: u64) -> u64 {
        let most = (self.max_bytes / 4).max(2 * self.segment());
        (total / 20).min(most)
    }

    /// Length at which a segment is full, in bytes.
    pub(crate) fn segment(&self) -> u64 {
        let (least, most) = (self.max_bytes / 512, self.max_bytes / 4);
        self.segment_bytes.clamp(least, most.max(least))
    }

    /// Most claims that the index may hold.
    pub(crate) fn claims(&self) -> u64 {
        self.index_bytes / CLAIM_BYTES
    }

    /// Most bytes of a record, with its head.
    pub(crate) fn longest_record(&self) -> u64 {
        self.max_bytes / 2
    }
}

/// Half of the files that this process can have open at once.
fn half_of_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(usize::MAX) / 2
}
