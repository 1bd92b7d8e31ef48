//! Offers records to the queues of the targets in force.

use std::sync::{Arc, Mutex};

use pyrotee_queue::{QueueId, QueuedRecord, Reason, Record, lock};
use tokio::sync::oneshot;

use crate::intake::PendingWrite;
use crate::shared::Shared;
use crate::spool_queue::SpoolQueue;
use crate::spooled_record::{RecordClaim, RecordLocation, SpooledRecord, SpooledState};

/// The result of an offer to some targets.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    /// Targets whose queue took the record.
    pub(crate) queued: usize,
    /// Targets whose queue refused the record.
    pub(crate) refused: usize,
    /// No queue could take the record even if it were empty.
    pub(crate) oversized: bool,
    /// Resolves when the record is durable. `None`: the record will not become more durable.
    pub(crate) receipt: Option<oneshot::Receiver<()>>,
}

impl Shared {
    /// Offers a record to one target; `None`: to all targets. A target that is not in force is not offered anything.
    pub(crate) fn offer(&self, target: Option<QueueId>, record: &Arc<Record>) -> Offered {
        let is_too_long = record.len() + record.head().len() as u64 > self.longest_record;
        let step = self.clock.step();
        let mut intake = lock(&self.intake);
        intake.note_clock_step(step);
        let in_force = Arc::clone(&intake.in_force);
        let asked = in_force.select(target);
        let refusal = match is_too_long {
            true => Some(Reason::SpoolFull),
            // The writer may have taken the last writes already.
            false => intake.closing.then_some(Reason::Shutdown),
        };
        let can_hold = |(_, queue): &(_, Arc<SpoolQueue>)| queue.queue.can_hold(record.len());
        let refused_by_all = || Offered {
            refused: asked.len(),
            oversized: !asked.is_empty() && (is_too_long || !asked.iter().any(can_hold)),
            ..Offered::default()
        };
        if refusal.is_some() || asked.is_empty() {
            drop(intake);
            if let Some(reason) = refusal {
                refuse(asked, record.len(), reason);
            }
            return refused_by_all();
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
                claims: u32::try_from(in_force.queues().len()).unwrap_or(u32::MAX),
                resolved: false,
                location: RecordLocation::Memory(Arc::clone(record)),
            }),
        });
        let claim = |index| RecordClaim {
            record: Arc::clone(&spooled),
            target: u16::try_from(index).unwrap_or(u16::MAX),
        };
        // The other targets settle the record before the writer sees it, so that it is not written for them.
        let others = in_force.queues().iter().map(|(index, _)| *index);
        for other in others.filter(|index| target.is_some_and(|it| it.0 != *index)) {
            claim(other).settled(Some(Reason::Admin));
        }
        let pushed = asked
            .iter()
            .filter(|(index, queue)| queue.queue.push_as(number, claim(*index)));
        let queued: Vec<_> = pushed.collect();
        if queued.is_empty() {
            drop(intake);
            return refused_by_all();
        }
        let (sender, receipt) = oneshot::channel();
        let in_memory = intake.memory_only;
        intake.push(PendingWrite {
            record: spooled,
            receipt: (!in_memory).then_some(sender),
        });
        drop(intake);
        for (_, queue) in &queued {
            queue.queue.notify();
        }
        self.tracker.wakeup.notify();
        Offered {
            queued: queued.len(),
            refused: asked.len() - queued.len(),
            oversized: false,
            // In memory-only mode a receipt fails if it promises the disk, and resolves at once if not.
            receipt: Some(receipt).filter(|_| self.receipts_promise_disk || !in_memory),
        }
    }

    /// Counts a profile that is never offered as lost for all targets.
    pub(crate) fn refuse(&self, bytes: u64, reason: Reason) {
        let in_force = Arc::clone(&lock(&self.intake).in_force);
        refuse(in_force.queues(), bytes, reason);
    }
}

fn refuse(queues: &[(usize, Arc<SpoolQueue>)], bytes: u64, reason: Reason) {
    for (_, queue) in queues {
        queue.queue.ledger().refuse(bytes, reason);
    }
}
