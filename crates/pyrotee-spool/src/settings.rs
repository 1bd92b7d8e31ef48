//! The settings of a spool, and the errors that keep the spool from being opened.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pyrotee_queue::{StepClock, Supervisor};
use rustix::process::{Resource, getrlimit};

/// Bytes of memory per claim, that is per record on disk and target that has not settled the record: the target's share
/// of the spooled record and its entries in the queue's maps (measured: 250 with three targets, 320 with one).
pub(crate) const CLAIM_BYTES: u64 = 320;

/// When written records are synced, so that they survive a power loss. Written records survive the end of the
/// process whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before the receipt resolves.
    Always,
    /// This long after the records were written.
    Interval(Duration),
    /// Never by the spool; the operating system writes the records back at a time of its own.
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
    /// Most segments that are kept open. Further segments are opened for each read.
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
    /// Time until the next attempt to write after the disk failed. Also the longest pause between two attempts to open
    /// the directory.
    pub retry_after: Duration,
    /// Time until the next attempt to read a segment that the disk did not return. The time doubles with each failure,
    /// up to 30 times this setting.
    pub read_again_after: Duration,
    /// Measures how far the wall clock was set, so that setting the clock does not change the age of a record.
    pub clock: StepClock,
    /// A process that ends within this time of its start, without closing the spool, counts as a short life, because a
    /// record may have ended the process: see the file `lives`. Zero: short lives are not counted.
    pub short_life: Duration,
    /// A record is suspected only if the process ends within this time of the record's lease.
    pub trial: Duration,
    /// Catches and counts the panics of the spool's threads.
    pub supervisor: Supervisor,
    /// Minimum sleep of the writer thread after a batch. A longer sleep means fewer system calls and later
    /// receipts.
    pub min_sleep: Duration,
}

/// Why a spool cannot be opened now. The text continues the words "failed to", and says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another process has the spool open.
    #[error(
        "lock {dir}: another process uses this spool; unless that is a relay that is about to stop, give each relay \
         its own directory"
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory has files, and none of a spool.
    #[error(
        "open {dir}: it is no spool and has other files, such as {file}; set spool.dir to an empty directory, or to \
         one that does not exist yet"
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// The name of a file in it.
        file: String,
    },
    /// A file was written by a newer pyrotee, in a later version of the format.
    #[error(
        "read {file}: it has version {version} of the spool format and was written by a newer pyrotee; \
         run that version until the spool is empty, or move the file away"
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The version of the file's format.
        version: u32,
    },
    /// The directory or a file in it cannot be used.
    #[error("open {path} ({source}); check its owner, its permissions and its file system")]
    Io {
        /// The directory or the file.
        path: PathBuf,
        /// The cause.
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
            short_life: Duration::from_secs(60),
            trial: Duration::from_secs(1),
            supervisor: Supervisor::default(),
            min_sleep: Duration::from_millis(1),
        }
    }

    /// Most bytes of all quarantined segments. Beyond this limit the oldest segments are deleted.
    pub(crate) fn quarantine(&self) -> u64 {
        self.max_bytes / 4
    }

    /// Free space of the file system that the spool leaves to others, in bytes: 5 % of its size `total`, but at most a
    /// quarter of `max_bytes` or two segments, whichever is more.
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
