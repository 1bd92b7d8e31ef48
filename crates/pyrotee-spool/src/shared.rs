//! The state that the producer, the consumers and the threads of a spool share.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

use pyrotee_queue::{Budget, Queue, QueuedRecord, Reason, Record, StepClock, Supervisor, lock};
use pyrotee_segments::{Crc, SegmentPosition, TargetId};
use tokio::sync::oneshot;
use tracing::warn;

use crate::counters::Counters;
use crate::lifecycle::Lifecycle;
use crate::lives::Lives;
use crate::read_trouble::ReadTrouble;
use crate::spooled_record::{RecordClaim, RecordLocation, SpooledRecord, SpooledState};
use crate::tracker::{SettlementTracker, TrackerState};

/// The state of a running spool.
///
/// Locks are taken in this order: first the intake's; then a queue's, or the tracker's and then a record's. `offer`
/// takes the locks of the intake and of queues on the request path, so no thread waits for anything else while it holds
/// one of these.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) intake: Mutex<Intake>,
    /// The queues of the configured targets.
    pub(crate) queues: Vec<Arc<Queue<RecordClaim>>>,
    /// The queues of the targets that were removed from the configuration and have records. No record is offered to
    /// these queues.
    pub(crate) removed: OnceLock<Vec<Arc<Queue<RecordClaim>>>>,
    pub(crate) tracker: Arc<SettlementTracker>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counters: Counters,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// Computes the checksums of records. Not set before the spool is open.
    pub(crate) crc: OnceLock<Crc>,
    pub(crate) read_trouble: ReadTrouble,
    pub(crate) clock: StepClock,
    pub(crate) supervisor: Supervisor,
    pub(crate) lives: Lives,
    /// Most bytes of a record, with its head.
    pub(crate) longest_record: u64,
    /// Whether a receipt promises that the record is on disk (`fsync: always`).
    pub(crate) receipts_promise_disk: bool,
}

/// The records that were offered and not written yet.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The number of the next record.
    pub(crate) next: u64,
    /// In the order of their numbers. The limits of the targets bound them.
    pub(crate) writes: VecDeque<PendingWrite>,
    /// Length of `writes` at which the records that every target has settled are removed from it.
    sweep_at: usize,
    /// How far the wall clock was set since the process began, as of the last noted step, in nanoseconds.
    clock_step: i64,
    /// Changes of `clock_step` for the writer, each with the number of the first record after the change.
    pub(crate) clock_changes: Vec<(u64, i64)>,
    /// Whether the spool is not open yet or the disk fails, so that records stay in memory.
    pub(crate) memory_only: bool,
    /// Whether the spool is being closed.
    pub(crate) closing: bool,
}

/// A record to be written.
#[derive(Debug)]
pub(crate) struct PendingWrite {
    pub(crate) record: Arc<SpooledRecord>,
    /// Resolves the receipt of the offer. `None`: the spool is or was in memory-only mode.
    pub(crate) receipt: Option<oneshot::Sender<()>>,
}

/// Smallest change of the wall clock that counts as a step, in nanoseconds.
const SMALLEST_STEP: u64 = 1_000_000_000;

/// Least number of pending writes at which settled records are removed.
const SWEEP_FROM: usize = 1_024;

impl Intake {
    /// The intake of a spool that is not open yet.
    pub(crate) fn new(next: u64) -> Self {
        Self {
            next,
            writes: VecDeque::new(),
            sweep_at: SWEEP_FROM,
            clock_step: 0,
            clock_changes: Vec::new(),
            memory_only: true,
            closing: false,
        }
    }

    /// Notes how far the wall clock was set since the process began (`step`, in nanoseconds), for the records offered
    /// from now on.
    pub(crate) fn note_clock_step(&mut self, step: i64) {
        let change = step.saturating_sub(self.clock_step);
        if change.unsigned_abs() >= SMALLEST_STEP {
            self.clock_step = step;
            self.clock_changes.push((self.next, change));
        }
    }

    /// Lowers the numbers of future records, and those in `clock_changes`, by `by`.
    pub(crate) fn renumber(&mut self, by: u64) {
        self.next -= by;
        for (number, _) in &mut self.clock_changes {
            *number -= by;
        }
    }

    fn push(&mut self, write: PendingWrite) {
        if self.writes.len() >= self.sweep_at {
            self.writes.retain(|write| write.record.is_claimed());
            self.sweep_at = SWEEP_FROM.max(2 * self.writes.len());
        }
        self.writes.push_back(write);
    }
}

impl Shared {
    /// Offers a record to the queues of some targets. Returns how many queues took it, and a receiver that resolves
    /// when the record is durable. `None`: the record will not become more durable.
    pub(crate) fn offer(
        &self,
        targets: Range<usize>,
        record: &Arc<Record>,
    ) -> (usize, Option<oneshot::Receiver<()>>) {
        let step = self.clock.step();
        let mut intake = lock(&self.intake);
        intake.note_clock_step(step);
        if intake.closing {
            // The writer may have taken the last writes already.
            self.refuse(targets, record.len(), Reason::Shutdown);
            return (0, None);
        }
        let number = intake.next;
        intake.next += 1;
        let spooled = Arc::new(SpooledRecord {
            number: number.into(),
            surface: record.head().surface,
            received: record.head().received,
            bytes: record.len(),
            tracker: Arc::clone(&self.tracker),
            state: Mutex::new(SpooledState {
                claims: u32::try_from(self.queues.len()).unwrap_or(u32::MAX),
                resolved: false,
                location: RecordLocation::Memory(Arc::clone(record)),
            }),
        });
        let claim = |index| RecordClaim {
            record: Arc::clone(&spooled),
            target: u16::try_from(index).unwrap_or(u16::MAX),
        };
        // The other targets settle the record before the writer sees it, so that it is not written for them.
        let others = (0..self.queues.len()).filter(|index| !targets.contains(index));
        for other in others {
            claim(other).settled(Some(Reason::Admin));
        }
        let offered = self.queues.iter().enumerate();
        let offered = offered.filter(|(index, _)| targets.contains(index));
        let queued: Vec<_> = offered
            .filter_map(|(index, queue)| queue.push_as(number, claim(index)).then_some(queue))
            .collect();
        if queued.is_empty() {
            return (0, None);
        }
        let (sender, receipt) = oneshot::channel();
        let in_memory = intake.memory_only;
        intake.push(PendingWrite {
            record: spooled,
            receipt: (!in_memory).then_some(sender),
        });
        drop(intake);
        for queue in &queued {
            queue.notify();
        }
        self.tracker.wakeup.notify();
        // In memory-only mode a receipt fails if it promises the disk, and resolves at once if not.
        (
            queued.len(),
            Some(receipt).filter(|_| self.receipts_promise_disk || !in_memory),
        )
    }

    /// Counts a profile that cannot be queued as lost for some targets.
    pub(crate) fn refuse(&self, targets: Range<usize>, bytes: u64, reason: Reason) {
        for queue in targets.filter_map(|target| self.queue(target)) {
            queue.ledger().refuse(bytes, reason);
        }
    }

    /// The queue of the target with this index. The indexes of removed targets follow those of the configured targets.
    pub(crate) fn queue(&self, target: usize) -> Option<&Arc<Queue<RecordClaim>>> {
        self.all_queues().nth(target)
    }

    /// The queues of the configured targets, then those of the removed ones, in the order of the cursors.
    pub(crate) fn all_queues(&self) -> impl Iterator<Item = &Arc<Queue<RecordClaim>>> {
        let removed = self.removed.get().into_iter().flatten();
        self.queues.iter().chain(removed)
    }

    /// The number that identifies a target in the files.
    pub(crate) fn target_id(&self, target: usize) -> Option<TargetId> {
        let id = |tracker: &mut TrackerState| Some(tracker.cursors.get(target)?.id);
        self.tracker.with(id)
    }

    /// Calls [`Lives::lethal`] for the target with this index.
    pub(crate) fn lethal(&self, target: usize, number: u64) -> Option<u32> {
        self.lives.lethal(self.target_id(target)?, number)
    }

    /// The queues of the configured targets, with their numbers in the files.
    pub(crate) fn queues_by_id(&self) -> Vec<(TargetId, &Queue<RecordClaim>)> {
        let queues = self.queues.iter().enumerate();
        let queues = queues.filter_map(|(index, queue)| Some((self.target_id(index)?, &**queue)));
        queues.collect()
    }

    /// Moves the process to the next phase of its life, if that is due: see [`Lives::watch`].
    pub(crate) fn watch_life(&self) {
        if self.lives.next_watch().is_some() {
            self.lives.watch(&self.queues_by_id());
        }
    }

    /// Notes that the record at `position` is damaged: its segment is quarantined instead of unlinked.
    pub(crate) fn note_damaged(&self, position: SegmentPosition) {
        warn!(
            segment = position.segment,
            offset = position.offset,
            "record in the spool is damaged"
        );
        self.tracker
            .with(|tracker| tracker.segments.damage(position.segment));
        self.counters.corrupt_records.add(1);
    }

    /// Notes that the file of a record is missing from the directory. The record is lost, unless the spool itself has
    /// just removed its segment (`false`).
    pub(crate) fn note_missing(&self, position: SegmentPosition) -> bool {
        let segment = position.segment;
        let is_lost = self.tracker.file(segment).is_some();
        if is_lost {
            warn!(segment, "segment of the spool is missing");
            self.counters.corrupt_records.add(1);
        }
        is_lost
    }

    /// Asks the writer to write the remaining records and to end. Closes the queues.
    pub(crate) fn stop(&self) {
        lock(&self.intake).closing = true;
        self.lifecycle.stop();
        for queue in &self.queues {
            queue.close();
        }
        self.tracker.wakeup.notify();
    }
}
