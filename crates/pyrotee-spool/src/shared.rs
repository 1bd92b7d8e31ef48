//! The state that the producer, the consumers and the threads of a spool share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use pyrotee_queue::{Budget, Reason, StepClock, Supervisor, lock};
use pyrotee_segments::{Crc, SegmentPosition, TargetId};
use tracing::warn;

use crate::counters::Counters;
use crate::intake::Intake;
use crate::lifecycle::Lifecycle;
use crate::lives::Lives;
use crate::read_trouble::ReadTrouble;
use crate::spool_queue::{AllQueues, SpoolQueue};
use crate::tracker::{SettlementTracker, TrackerState};

/// The state of a running spool.
///
/// Locks are taken in this order: first that of `names`; then the intake's; then a queue's, or the tracker's and then a
/// record's. `offer` takes the locks of the intake and of queues on the request path, so no thread waits for anything
/// else while it holds one of these.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The index of each target that is or was in force, or has records of an earlier process. Whoever changes `queues`
    /// or the list in force holds this lock.
    pub(crate) names: Mutex<BTreeMap<String, usize>>,
    pub(crate) intake: Mutex<Intake>,
    /// The queues of all targets in `names`. The list only grows; the index of a queue is that of its cursor, and its
    /// [`QueueId`](pyrotee_queue::QueueId).
    pub(crate) queues: ArcSwap<AllQueues>,
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

impl Shared {
    /// The queue of the target with this index.
    pub(crate) fn queue(&self, target: usize) -> Option<Arc<SpoolQueue>> {
        self.queues.load().get(target).cloned()
    }

    /// The queues of all targets, in the order of the cursors.
    pub(crate) fn all_queues(&self) -> Arc<AllQueues> {
        self.queues.load_full()
    }

    /// The names of all targets, in the order of their queues.
    pub(crate) fn names(&self) -> Vec<String> {
        self.tracker.with(|tracker| {
            let names = tracker.cursors.iter().map(|cursor| cursor.name.clone());
            names.collect()
        })
    }

    /// The names of the targets in force, each with its index.
    pub(crate) fn names_in_force(&self) -> Vec<(usize, String)> {
        self.tracker.with(|tracker| {
            let cursors = tracker.cursors.iter().enumerate();
            let in_force = cursors.filter(|(_, cursor)| cursor.removal.is_none());
            let names = in_force.map(|(index, cursor)| (index, cursor.name.clone()));
            names.collect()
        })
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

    /// The queues of all targets, with the numbers of the targets in the files.
    pub(crate) fn queues_by_id(&self) -> Vec<(TargetId, Arc<SpoolQueue>)> {
        let queues = self.all_queues();
        let ids = self.tracker.with(|tracker| {
            let ids = tracker.cursors.iter().map(|cursor| cursor.id);
            ids.collect::<Vec<_>>()
        });
        ids.into_iter().zip(queues.iter().cloned()).collect()
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
        self.close_queues();
        self.tracker.wakeup.notify();
    }

    /// Closes all queues to new records. Whoever calls this has noted under the lock of the intake that no queue opens
    /// any more.
    pub(crate) fn close_queues(&self) {
        for queue in self.all_queues().iter() {
            queue.queue.close(Reason::Shutdown);
        }
    }

    /// Drops the records that are only in memory: no process will find them.
    pub(crate) fn lose_unwritten(&self) {
        let unwritten = std::mem::take(&mut lock(&self.intake).writes);
        drop(unwritten);
        for queue in self.all_queues().iter() {
            queue.queue.lose_in_memory(Reason::Shutdown);
        }
    }
}
