//! The dead letters of a running process: their directory, the writer thread, and a monitor of both.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pyrotee_delivery::DeadLetterSink;
use pyrotee_queue::Supervisor;

use crate::opening::{Directory, Gate, Opener, Opening};
use crate::store::{Error, Size, Store};
use crate::writer::{Counters, Writer};

/// A directory of dead letters with its writer thread. The thread ends when [`Writer::close`] returns.
#[derive(Debug)]
pub struct DeadLetters {
    /// Reads the letters and counts them.
    pub monitor: Monitor,
    /// The thread that writes letters. The owner must close it.
    pub writer: Writer,
    /// Receives dead letters from the deliverers.
    pub sink: DeadLetterSink,
}

/// The settings of dead letters: where they are kept, and how many bytes of them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory, which is created if it does not exist.
    pub dir: PathBuf,
    /// Most bytes of all files together.
    pub max_bytes: u64,
    /// Most bytes of memory of letters that are not written yet. One letter may always wait, however large.
    pub most_waiting: u64,
    /// Catches the panics of the writer.
    pub supervisor: Supervisor,
}

/// Reads the letters of a running process, and counts kept, replayed, evicted and lost letters. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Monitor {
    directory: Arc<Directory>,
    counters: Arc<Counters>,
}

/// The size of the directory, and counts of letters since the start of the process.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    /// Whether the directory is open; before that, `size` has no letters and no bytes.
    pub is_open: bool,
    pub size: Size,
    pub kept: u64,
    pub evicted: u64,
    pub replayed: u64,
    pub lost_full: u64,
    pub lost_disk_error: u64,
    pub lost_too_large: u64,
    pub lost_panic: u64,
}

impl DeadLetters {
    /// Opens the directory and starts the writer.
    ///
    /// # Errors
    /// The directory cannot be used, another process uses it, or the thread does not start.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let store = Arc::new(Store::open(&settings.dir, settings.max_bytes)?);
        let directory = Directory::open(store, settings.max_bytes);
        let dir = settings.dir.clone();
        Self::with(directory, settings, Box::new(|| Ok(())))
            .map_err(|source| Error::Io { dir, source })
    }

    /// Starts the writer, which opens the directory as soon as `gate` and the disk allow. Returns at once: the writer
    /// tries a directory that is read-only, missing, or locked by another process again within seconds, and letters
    /// wait in memory.
    ///
    /// # Errors
    /// The thread does not start.
    pub fn start(settings: Settings, gate: Gate) -> io::Result<Self> {
        let directory = Directory::closed(settings.max_bytes);
        Self::with(directory, settings, gate)
    }

    fn with(directory: Directory, settings: Settings, gate: Gate) -> io::Result<Self> {
        let directory = Arc::new(directory);
        let counters = Arc::<Counters>::default();
        let opener = Opener {
            dir: settings.dir,
            gate,
            directory: Arc::clone(&directory),
        };
        let (most_waiting, supervisor) = (settings.most_waiting, settings.supervisor);
        let counted = Arc::clone(&counters);
        let (writer, sink) = Writer::start(opener, counted, most_waiting, supervisor)?;
        Ok(Self {
            monitor: Monitor {
                directory,
                counters,
            },
            writer,
            sink,
        })
    }
}

impl Monitor {
    /// Whether the directory is open, and if not, why.
    pub fn opening(&self) -> Opening {
        self.directory.opening()
    }

    /// Letters in memory that are not written yet.
    pub fn unwritten(&self) -> u64 {
        self.counters.unwritten.letters()
    }

    /// The directory of letters.
    ///
    /// # Errors
    /// The directory is not open yet.
    pub fn store(&self) -> Result<&Arc<Store>, NotOpen> {
        let not_open = || match self.opening() {
            Opening::Waiting { reason, .. } => NotOpen(reason),
            Opening::Open => NotOpen("the directory was opened just now".to_owned()),
        };
        self.directory.store().ok_or_else(not_open)
    }

    /// Counts a letter that was replayed: its record is in a queue again.
    pub fn count_replayed(&self) {
        self.counters.replayed.fetch_add(1, Relaxed);
    }

    /// Sizes and counts at this instant.
    pub fn stats(&self) -> Stats {
        let (store, counters) = (self.directory.store(), &self.counters);
        let closed = || Size {
            max_bytes: self.directory.max_bytes,
            ..Size::default()
        };
        Stats {
            is_open: store.is_some(),
            size: store.map_or_else(closed, |store| store.size()),
            kept: counters.kept.load(Relaxed),
            evicted: store.map_or(0, |store| store.evicted()),
            replayed: counters.replayed.load(Relaxed),
            lost_full: counters.lost_full.load(Relaxed),
            lost_disk_error: counters.lost_disk_error.load(Relaxed),
            lost_too_large: counters.lost_too_large.load(Relaxed),
            lost_panic: counters.lost_panic.load(Relaxed),
        }
    }
}

/// The error that the directory of the dead letters is not open yet. The text says why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dead letters are not open yet: {0}")]
pub struct NotOpen(String);
