//! The writer thread of dead letters, so that no delivery waits for the disk.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, sleep};
use std::time::{Duration, SystemTime};

use pyrotee_delivery::{DeadLetter, DeadLetterSink};
use pyrotee_queue::{Part, Record, Supervisor};

use super::opening::Opener;
use super::store::{Cause, Error};

/// Bytes of memory that an unwritten letter takes beside its record's head and body: the response is up to 2 KiB.
const OVERHEAD: u64 = Record::OVERHEAD + 2 * 1_024;

/// Time until the directory is opened again after a panic.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Letters in memory, and counts of letters since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub unwritten: Unwritten,
    pub kept: AtomicU64,
    pub replayed: AtomicU64,
    /// Letters that were lost because unwritten letters took all of their memory, or the writer was closed.
    pub lost_full: AtomicU64,
    pub lost_disk_error: AtomicU64,
    pub lost_too_large: AtomicU64,
    /// Letters that were lost because writing them panicked.
    pub lost_panic: AtomicU64,
}

/// The letters in memory that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    letters: AtomicU64,
    bytes: AtomicU64,
}

/// The thread that writes letters.
#[derive(Debug)]
pub struct Writer {
    sender: Sender<Message>,
    /// Keeps the thread trying to open the directory until this sender is dropped.
    opening: Sender<()>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
    counters: Arc<Counters>,
}

enum Message {
    Keep {
        record: Arc<Record>,
        cause: Cause,
        at: SystemTime,
    },
    End,
}

impl Writer {
    /// Starts the thread, which first opens the directory and goes on after a panic. All unwritten letters together
    /// have at most `most_waiting` bytes, unless there is only one. They stay charged to the memory limit until they
    /// are written.
    pub(crate) fn start(
        opener: Opener,
        counters: Arc<Counters>,
        most_waiting: u64,
        supervisor: Supervisor,
    ) -> io::Result<(Self, DeadLetterSink)> {
        let ((sender, messages), (opening, stop)) = (channel(), channel());
        let (running, ended) = channel::<()>();
        let sink = intake(sender.clone(), Arc::clone(&counters), most_waiting);
        let thread = WriterThread {
            opener,
            stop,
            messages,
            counters: Arc::clone(&counters),
            supervisor,
        };
        Builder::new()
            .name(Part::DeadLetters.as_str().to_owned())
            .spawn(move || {
                thread.run();
                drop(running);
            })?;
        let writer = Self {
            sender,
            opening,
            ended,
            counters,
        };
        Ok((writer, sink))
    }

    /// Writes the letters that are in memory, and ends the thread. Blocks for at most `limit`; returns how many letters
    /// are still unwritten. These are lost, and so are letters that are offered later.
    pub fn close(self, limit: Duration) -> u64 {
        drop(self.opening);
        // The message cannot be sent if the thread has ended, which then has no letters left to write.
        drop(self.sender.send(Message::End));
        // Nothing is ever sent on this channel: the call returns when the thread ends, or after `limit`.
        let _ended_or_late = self.ended.recv_timeout(limit);
        let left = self.counters.unwritten.letters();
        self.counters.lost_disk_error.fetch_add(left, Relaxed);
        left
    }
}

impl Unwritten {
    pub(crate) fn letters(&self) -> u64 {
        self.letters.load(Relaxed)
    }

    /// Adds a letter of `bytes` bytes if the sum stays within `most`, or if there is no other letter. Returns whether
    /// the letter was added.
    fn add(&self, bytes: u64, most: u64) -> bool {
        let before = self.bytes.fetch_add(bytes, Relaxed);
        self.letters.fetch_add(1, Relaxed);
        let fits = before == 0 || before.saturating_add(bytes) <= most;
        if !fits {
            self.remove(bytes);
        }
        fits
    }

    fn remove(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
        self.letters.fetch_sub(1, Relaxed);
    }
}

/// Bytes of memory of an unwritten letter.
fn charge(record: &Record) -> u64 {
    record.len() + record.head().len() as u64 + OVERHEAD
}

/// A sink that sends dead letters to the channel while unwritten letters take at most `most_waiting` bytes.
fn intake(sender: Sender<Message>, counters: Arc<Counters>, most_waiting: u64) -> DeadLetterSink {
    DeadLetterSink::new(move |letter| {
        let bytes = charge(letter.record);
        if !counters.unwritten.add(bytes, most_waiting) {
            counters.lost_full.fetch_add(1, Relaxed);
        } else if sender.send(Message::of(letter)).is_err() {
            counters.unwritten.remove(bytes);
            counters.lost_full.fetch_add(1, Relaxed);
        }
    })
}

impl Message {
    fn of(letter: &DeadLetter<'_>) -> Self {
        Self::Keep {
            record: Arc::clone(letter.record),
            cause: Cause {
                target: letter.target.to_owned(),
                reason: letter.reason.as_str(),
                tries: letter.tries,
                status: letter.status,
                answer: letter.response.to_owned(),
            },
            at: SystemTime::now(),
        }
    }
}

/// The state of the writer thread.
struct WriterThread {
    opener: Opener,
    /// Disconnected when the writer is closed.
    stop: Receiver<()>,
    messages: Receiver<Message>,
    counters: Arc<Counters>,
    supervisor: Supervisor,
}

impl WriterThread {
    /// Opens the directory and writes letters until the writer is closed. The letters and the lock of the directory are
    /// released when this function returns.
    fn run(self) {
        let open = || self.opener.run(&self.stop);
        // After a panic the directory is opened again, unless the writer was closed.
        let store = loop {
            match self.supervisor.catch(Part::DeadLetters, open) {
                Ok(store) => break store,
                Err(_) => sleep(AFTER_PANIC),
            }
        };
        if let Some(store) = store {
            self.write(|record, cause, at| store.keep(record, cause, at));
        }
    }

    fn write(&self, keep: impl Fn(&Record, &Cause, SystemTime) -> Result<(), Error>) {
        let mut failing = false;
        while let Ok(Message::Keep { record, cause, at }) = self.messages.recv() {
            let keep = || keep(&record, &cause, at);
            let kept = self.supervisor.catch(Part::DeadLetters, keep);
            self.counters.unwritten.remove(charge(&record));
            drop(record);
            let Ok(kept) = kept else {
                self.counters.lost_panic.fetch_add(1, Relaxed);
                continue;
            };
            let (counter, error) = match kept {
                Ok(()) => (&self.counters.kept, None),
                Err(Error::TooLarge) => (&self.counters.lost_too_large, None),
                Err(error) => (&self.counters.lost_disk_error, Some(error)),
            };
            counter.fetch_add(1, Relaxed);
            // A disk that begins to fail is logged once, not for each letter.
            match &error {
                Some(error) if !failing => tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "failed to write a dead letter; it is lost, and so are others until the disk works again"
                ),
                None if failing => tracing::info!("dead letters are kept again"),
                _ => {}
            }
            failing = error.is_some();
        }
    }
}
