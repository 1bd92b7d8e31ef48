//! The dead letters of a running process: the open directory, its writer and what can be seen of both.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pyrotee_delivery::DeadLetterSink;
use pyrotee_queue::Supervisor;

use crate::store::{Error, Size, Store};
use crate::writer::{Counters, Writer};

/// An open directory of dead letters with its writer thread. Ends when [`Writer::close`] returns.
#[derive(Debug)]
pub struct DeadLetters {
    /// Reads the letters and their numbers.
    pub monitor: Monitor,
    /// The thread that writes; whoever holds it closes it.
    pub writer: Writer,
    /// Receives rejected records from the deliverers.
    pub sink: DeadLetterSink,
}

/// Reads the letters of a running process, and counts what happens to them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Arc<Counters>,
}

/// What there is, and what became of letters since the start.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
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
    /// Opens `dir`, which may hold `max_bytes` bytes, and starts the writer. Records that wait to be written
    /// may hold `most_waiting` bytes of memory. `supervisor` counts panics of the writer.
    ///
    /// # Errors
    /// The directory cannot be used, another process has it, or the thread does not start.
    pub fn open(
        dir: &Path,
        max_bytes: u64,
        most_waiting: u64,
        supervisor: Supervisor,
    ) -> Result<Self, Error> {
        let store = Arc::new(Store::open(dir, max_bytes)?);
        let counters = Arc::<Counters>::default();
        let (kept, counted) = (Arc::clone(&store), Arc::clone(&counters));
        let started = Writer::start(kept, counted, most_waiting, supervisor);
        let (writer, sink) = started.map_err(|source| Error::Io {
            dir: dir.to_owned(),
            source,
        })?;
        let size = store.size();
        tracing::info!(
            dir = %dir.display(),
            letters = size.letters,
            bytes = size.bytes,
            "dead letters are open"
        );
        Ok(Self {
            monitor: Monitor { store, counters },
            writer,
            sink,
        })
    }
}

impl Monitor {
    /// The letters themselves.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Counts a letter that went back into a queue.
    pub fn count_replayed(&self) {
        self.counters.replayed.fetch_add(1, Relaxed);
    }

    /// The numbers of this instant.
    pub fn stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            size: self.store.size(),
            kept: counters.kept.load(Relaxed),
            evicted: self.store.evicted(),
            replayed: counters.replayed.load(Relaxed),
            lost_full: counters.lost_full.load(Relaxed),
            lost_disk_error: counters.lost_disk_error.load(Relaxed),
            lost_too_large: counters.lost_too_large.load(Relaxed),
            lost_panic: counters.lost_panic.load(Relaxed),
        }
    }
}
