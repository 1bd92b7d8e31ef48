//! What producer, consumers and the two threads share.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, mpsc};

use pyrotee_queue::{Budget, Queue, QueuedRecord, Reason, Record, Tally, lock};
use tokio::sync::oneshot;
use tracing::info;

use crate::book::{Book, Orphan};
use crate::counters::Counters;
use crate::entry::{Claim, Entry, EntryState, Place};
use crate::reader::Request;

/// Locks are taken in this order: intake, a queue's; intake, the book's, an entry's. `offer` takes the
/// first two, on the path of a client: while they are held nothing is waited for.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) intake: Mutex<Intake>,
    pub(crate) queues: Vec<Arc<Queue<Claim>>>,
    pub(crate) book: Arc<Book>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counters: Counters,
    pub(crate) longest_record: u64,
    /// Whether a receipt promises the disk.
    pub(crate) promises: bool,
}

/// What was offered and not written yet.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The next record's number.
    pub(crate) next: u64,
    /// In the order of their numbers. Their records are bounded by the targets' limits.
    pub(crate) jobs: VecDeque<Job>,
    /// Jobs that nobody wants any more are swept out at this length.
    sweep_at: usize,
    pub(crate) memory_only: bool,
    pub(crate) closing: bool,
}

/// A record to be written.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) entry: Arc<Entry>,
    /// Gone if the record will not be durable in time.
    pub(crate) receipt: Option<oneshot::Sender<()>>,
}

const SWEEP_FROM: usize = 1_024;

impl Intake {
    pub(crate) fn new(next: u64) -> Self {
        Self {
            next,
            jobs: VecDeque::new(),
            sweep_at: SWEEP_FROM,
            memory_only: false,
            closing: false,
        }
    }

    fn push(&mut self, job: Job) {
        if self.jobs.len() >= self.sweep_at {
            self.jobs.retain(|job| job.entry.is_wanted());
            self.sweep_at = SWEEP_FROM.max(2 * self.jobs.len());
        }
        self.jobs.push_back(job);
    }
}

impl Shared {
    /// Offers a record to the queues of some targets; how many took it, and what tells when it is
    /// written.
    pub(crate) fn offer(
        &self,
        targets: Range<usize>,
        record: &Arc<Record>,
    ) -> (usize, Option<oneshot::Receiver<()>>) {
        let mut intake = lock(&self.intake);
        if intake.closing {
            // The writer may have taken its last look.
            self.refuse(targets, record.len(), Reason::Shutdown);
            return (0, None);
        }
        let number = intake.next;
        intake.next += 1;
        let entry = Arc::new(Entry {
            number,
            surface: record.head().surface,
            received: record.head().received,
            bytes: record.len(),
            book: Arc::clone(&self.book),
            state: Mutex::new(EntryState {
                claims: u32::try_from(self.queues.len()).unwrap_or(u32::MAX),
                judged: false,
                place: Place::Memory(Arc::clone(record)),
            }),
        });
        let claim = |index| Claim {
            entry: Arc::clone(&entry),
            target: u16::try_from(index).unwrap_or(u16::MAX),
        };
        // Who is not asked is done with it, before anybody can write it down.
        let others = (0..self.queues.len()).filter(|index| !targets.contains(index));
        for other in others {
            claim(other).settled(Some(Reason::Admin));
        }
        let asked = self.queues.iter().enumerate();
        let asked = asked.filter(|(index, _)| targets.contains(index));
        let took: Vec<_> = asked
            .filter_map(|(index, queue)| queue.push_as(number, claim(index)).then_some(queue))
            .collect();
        if took.is_empty() {
            return (0, None);
        }
        let (sender, receipt) = oneshot::channel();
        let in_memory = intake.memory_only;
        intake.push(Job {
            entry,
            receipt: (!in_memory).then_some(sender),
        });
        drop(intake);
        for queue in &took {
            queue.notify();
        }
        self.book.bell.ring();
        // Nobody was promised the disk: what is in memory is as durable as it will be.
        (
            took.len(),
            Some(receipt).filter(|_| self.promises || !in_memory),
        )
    }

    /// Counts what was offered to some targets and cannot be taken.
    pub(crate) fn refuse(&self, targets: Range<usize>, bytes: u64, reason: Reason) {
        for queue in self.queues.get(targets).into_iter().flatten() {
            queue.ledger().refuse(bytes, reason);
        }
    }

    /// Loses what waits for removed targets that are `condemned`, for `reason`; who lost what.
    pub(crate) fn lose_orphans(
        &self,
        condemned: impl Fn(&Orphan) -> bool,
        reason: Reason,
    ) -> Vec<(String, Tally)> {
        let lost = self.book.with(|book| book.lose_orphans(condemned));
        for (target, tally) in &lost {
            self.counters.orphans_dropped.add(tally.profiles);
            info!(
                target,
                records = tally.profiles,
                reason = reason.as_str(),
                "spooled records of a removed target are lost"
            );
        }
        lost
    }

    /// Asks the writer to write what is left, and to end.
    pub(crate) fn stop(&self) {
        lock(&self.intake).closing = true;
        for queue in &self.queues {
            queue.close();
        }
        self.book.bell.ring();
    }
}

/// While one of these lives, the threads do.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reader: mpsc::Sender<Request>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
