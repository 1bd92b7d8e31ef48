//! The records that were offered and not written yet, and the list of the queues that records are offered to.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::spool_queue::InForce;
use crate::spooled_record::SpooledRecord;

/// The records that were offered and not written yet.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The queues that records are offered to.
    pub(crate) in_force: Arc<InForce>,
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
    /// Whether the producer was dropped, so that all queues are closed and stay closed.
    pub(crate) is_complete: bool,
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
            in_force: Arc::default(),
            next,
            writes: VecDeque::new(),
            sweep_at: SWEEP_FROM,
            clock_step: 0,
            clock_changes: Vec::new(),
            memory_only: true,
            is_complete: false,
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

    pub(crate) fn push(&mut self, write: PendingWrite) {
        if self.writes.len() >= self.sweep_at {
            self.writes.retain(|write| write.record.is_claimed());
            self.sweep_at = SWEEP_FROM.max(2 * self.writes.len());
        }
        self.writes.push_back(write);
    }
}
