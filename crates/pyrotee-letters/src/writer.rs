//! Writes letters on a thread of its own, so that no delivery waits for the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::SystemTime;

use pyrotee_delivery::{DeadLetter, DeadLetterSink};
use pyrotee_queue::{Part, Record, Supervisor};

use super::store::{Cause, Error, Store};

/// Letters that may wait to be written.
const PLACES: usize = 64;

/// What became of letters since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub kept: AtomicU64,
    pub replayed: AtomicU64,
    /// Too many waited to be written.
    pub lost_full: AtomicU64,
    pub lost_disk_error: AtomicU64,
    pub lost_too_large: AtomicU64,
    /// Writing it panicked.
    pub lost_panic: AtomicU64,
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writer {
    sender: SyncSender<Message>,
    thread: JoinHandle<()>,
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
    /// Starts the thread. Records that wait to be written have `most_waiting` bytes together at most, or
    /// there is only one: until then they stay charged to the memory limit. The thread goes on after a panic.
    pub fn start(
        store: Arc<Store>,
        counters: Arc<Counters>,
        most_waiting: u64,
        supervisor: Supervisor,
    ) -> io::Result<(Self, DeadLetterSink)> {
        let (sender, messages) = sync_channel(PLACES);
        let waiting = Arc::<AtomicU64>::default();
        let sink = intake(
            sender.clone(),
            Arc::clone(&counters),
            Arc::clone(&waiting),
            most_waiting,
        );
        let thread = Builder::new()
            .name(Part::DeadLetters.as_str().to_owned())
            .spawn(move || {
                let keep = |record: &Record, cause: &Cause, at| store.keep(record, cause, at);
                run(&messages, keep, &counters, &waiting, &supervisor);
            })?;
        Ok((Self { sender, thread }, sink))
    }

    /// Writes what waits, and ends. Blocks until that is done; what is refused later is not kept.
    pub fn close(self) {
        // A thread that is gone has nothing left to write.
        drop(self.sender.send(Message::End));
        drop(self.thread.join());
    }
}

/// Puts what is told into the channel, if it has room.
fn intake(
    sender: SyncSender<Message>,
    counters: Arc<Counters>,
    waiting: Arc<AtomicU64>,
    most_waiting: u64,
) -> DeadLetterSink {
    DeadLetterSink::new(move |letter| {
        let bytes = letter.record.len();
        let before = waiting.fetch_add(bytes, Relaxed);
        let fits = before == 0 || before.saturating_add(bytes) <= most_waiting;
        if !fits || sender.try_send(Message::of(letter)).is_err() {
            waiting.fetch_sub(bytes, Relaxed);
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

fn run(
    messages: &Receiver<Message>,
    keep: impl Fn(&Record, &Cause, SystemTime) -> Result<(), Error>,
    counters: &Counters,
    waiting: &AtomicU64,
    supervisor: &Supervisor,
) {
    let mut failing = false;
    while let Ok(Message::Keep { record, cause, at }) = messages.recv() {
        let kept = supervisor.catch(Part::DeadLetters, || keep(&record, &cause, at));
        waiting.fetch_sub(record.len(), Relaxed);
        drop(record);
        let Ok(kept) = kept else {
            counters.lost_panic.fetch_add(1, Relaxed);
            continue;
        };
        let (counter, error) = match kept {
            Ok(()) => (&counters.kept, None),
            Err(Error::TooLarge) => (&counters.lost_too_large, None),
            Err(error) => (&counters.lost_disk_error, Some(error)),
        };
        counter.fetch_add(1, Relaxed);
        // Once for each time that the disk fails, not for each letter.
        match &error {
            Some(error) if !failing => tracing::warn!(
                error = error as &dyn std::error::Error,
                "failed to keep a dead letter; it is lost, and so are others until this is mended"
            ),
            None if failing => tracing::info!("dead letters are kept again"),
            _ => {}
        }
        failing = error.is_some();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pyrotee_delivery::DeadLetterReason;

    use super::super::store::tests::{Home, record};
    use super::*;

    fn offer(sink: &DeadLetterSink, record: &Arc<Record>) {
        sink.offer(&DeadLetter {
            target: "central",
            record,
            reason: DeadLetterReason::Rejected,
            tries: 1,
            status: Some(400),
            response: "no",
        });
    }

    /// A writer that has to write so many letters into `home`, to which `change` happens before.
    fn written(home: &Home, bytes: usize, times: u64, change: impl FnOnce()) -> Arc<Counters> {
        let counters = Arc::<Counters>::default();
        let store = Arc::new(home.open());
        let (writer, sink) = Writer::start(
            Arc::clone(&store),
            Arc::clone(&counters),
            1 << 30,
            Supervisor::default(),
        )
        .unwrap();
        change();
        let record = record("name=a", bytes);
        (0..times).for_each(|_| offer(&sink, &record));
        writer.close();
        offer(&sink, &record);
        assert_eq!(Arc::strong_count(&record), 1, "nothing is held");
        assert_eq!(counters.lost_full.load(Relaxed), 1, "the last one");
        counters
    }

    #[test]
    fn what_waits_at_the_end_is_written() {
        let home = Home::new();
        let counters = written(&home, 5, 30, || ());
        assert_eq!(counters.kept.load(Relaxed), 30);
        assert_eq!(home.open().size().letters, 30);
    }

    #[test]
    fn a_disk_that_fails_and_a_letter_that_is_too_large_cost_letters_and_nothing_else() {
        let home = Home::new();
        let gone = || fs::remove_dir_all(home.dir()).unwrap();
        let counters = written(&home, 5, 3, gone);
        assert_eq!(counters.lost_disk_error.load(Relaxed), 3);
        let counters = written(&home, 600_000, 2, || ());
        assert_eq!(counters.lost_too_large.load(Relaxed), 2);
    }

    #[test]
    fn a_panic_costs_one_letter_and_not_the_thread() {
        let counters = Arc::<Counters>::default();
        let (waiting, supervisor) = (Arc::<AtomicU64>::default(), Supervisor::default());
        let (sender, messages) = sync_channel(PLACES);
        let sink = intake(sender, Arc::clone(&counters), Arc::clone(&waiting), 1 << 30);
        for name in ["name=a", "name=poison", "name=b", "name=poison", "name=c"] {
            offer(&sink, &record(name, 10));
        }
        drop(sink);
        let keep = |record: &Record, _: &Cause, _| {
            assert!(&*record.head().query != "name=poison", "the store broke");
            Ok(())
        };
        run(&messages, keep, &counters, &waiting, &supervisor);
        assert_eq!(counters.kept.load(Relaxed), 3);
        assert_eq!(counters.lost_panic.load(Relaxed), 2);
        assert_eq!(supervisor.panics(Part::DeadLetters), 2);
        assert_eq!(waiting.load(Relaxed), 0, "nothing waits");
    }

    #[test]
    fn what_is_too_much_for_the_disk_is_lost_at_once_and_one_may_always_wait() {
        for (most_waiting, bytes, waiting) in [
            (1 << 20, 10, PLACES),
            (1_000, 300, 3),
            (1_000, 1_000, 1),
            (1_000, 5_000, 1),
        ] {
            let counters = Arc::<Counters>::default();
            // Nobody takes anything out.
            let (sender, messages) = sync_channel(PLACES);
            let sink = intake(sender, Arc::clone(&counters), Arc::default(), most_waiting);
            let record = record("name=a", bytes);
            (0..100).for_each(|_| offer(&sink, &record));
            assert_eq!(Arc::strong_count(&record), 1 + waiting, "{bytes}");
            assert_eq!(counters.lost_full.load(Relaxed), 100 - waiting as u64);
            drop(messages);
        }
    }
}
