//! The state of a queue that its lock guards.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tokio::time::Instant;

use super::entry::{LeasedEntry, QueueEntry, QueuedRecord};
use super::index::EntryIndex;
use crate::{LeaseFilter, Limits, Reason, RetryHistory, WhenFull};

#[derive(Debug)]
pub(super) struct State<R> {
    pub(super) phase: Phase,
    /// Records that are pending and not leased.
    pub(super) queued: EntryIndex<R>,
    /// Records that are leased, by their number.
    pub(super) leased: BTreeMap<u64, InFlightRecord>,
    /// Records that were taken out to be dropped and are not in the ledger yet.
    pub(super) unaccounted: usize,
    /// What counts against the limits, queued and leased.
    in_memory: Usage,
    /// Records below this number are on disk, outside the in-memory limits.
    pub(super) in_memory_from: u64,
    /// Leased records below this number are dropped for this reason when they are released.
    pub(super) lost_below: Option<(u64, Reason)>,
    pub(super) next_number: u64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Phase {
    #[default]
    Open,
    /// The producer is gone. Pending records are still delivered.
    Closed,
    /// No record is leased any more; pending records stay pending.
    Frozen,
    /// No record is leased any more; a leased record that is released is dropped for this reason.
    Abandoned(Reason),
}

#[derive(Debug)]
pub(super) struct InFlightRecord {
    pub(super) received: SystemTime,
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Usage {
    records: usize,
    bytes: u64,
}

impl Usage {
    fn sub(&mut self, bytes: u64) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn fits(self, limits: &Limits, bytes: u64) -> bool {
        self.records < limits.records && self.bytes.saturating_add(bytes) <= limits.bytes
    }
}

impl<R> Default for State<R> {
    fn default() -> Self {
        Self {
            phase: Phase::default(),
            queued: EntryIndex::default(),
            leased: BTreeMap::new(),
            unaccounted: 0,
            in_memory: Usage::default(),
            in_memory_from: 0,
            lost_below: None,
            next_number: 0,
        }
    }
}

impl<R: QueuedRecord> State<R> {
    /// Queues a record as `number` or as the next number, whichever is higher.
    pub(super) fn insert_new(&mut self, number: u64, record: R) {
        let number = number.max(self.next_number);
        self.next_number = number + 1;
        if number >= self.in_memory_from {
            self.in_memory.records += 1;
            self.in_memory.bytes += record.len();
        }
        let entry = QueueEntry {
            record,
            offered: Instant::now(),
            history: RetryHistory::default(),
            due: None,
        };
        self.queued.insert(number, entry);
    }

    pub(super) fn take(&mut self, filters: &[LeaseFilter], from: u64) -> Option<LeasedEntry<R>> {
        let leased = self.queued.take(filters, from, Instant::now())?;
        let record = leased.record();
        let in_flight = InFlightRecord {
            received: record.received(),
            bytes: record.len(),
        };
        self.leased.insert(leased.number, in_flight);
        Some(leased)
    }

    /// Takes a record that is not pending any more off the limits.
    pub(super) fn release(&mut self, number: u64, bytes: u64) {
        if number >= self.in_memory_from {
            self.in_memory.sub(bytes);
        }
    }

    /// Why a leased record that is released must be dropped; `None`: it goes back into the queue.
    pub(super) fn lost_on_return(&self, number: u64) -> Option<Reason> {
        if let Phase::Abandoned(reason) = self.phase {
            return Some(reason);
        }
        let lost = self.lost_below.filter(|(end, _)| number < *end);
        lost.map(|(_, reason)| reason)
    }

    /// Takes a queued record out. The caller must account for it.
    pub(super) fn take_out(&mut self, number: u64) -> Option<QueueEntry<R>> {
        let entry = self.queued.remove(number)?;
        self.release(number, entry.record.len());
        Some(entry)
    }

    /// Takes the records below `number` off the limits, because they are on disk.
    pub(super) fn moved_to_disk(&mut self, number: u64) {
        if number <= self.in_memory_from {
            return;
        }
        let moved = self.in_memory_from..number;
        for (_, record) in self.queued.records(moved.clone()) {
            self.in_memory.sub(record.len());
        }
        for (_, leased) in self.leased.range(moved) {
            self.in_memory.sub(leased.bytes);
        }
        self.in_memory_from = number;
    }

    pub(super) fn has_room(&self, limits: &Limits, bytes: u64) -> bool {
        self.in_memory.fits(limits, bytes)
    }

    /// Takes out the oldest queued records that must be dropped so that `bytes` fit. `None`, with nothing
    /// taken out: dropping all of them is not enough, or the policy is to drop the newest.
    pub(super) fn make_room(&mut self, limits: &Limits, bytes: u64) -> Option<Vec<QueueEntry<R>>> {
        let (mut usage, mut victims) = (self.in_memory, Vec::new());
        if limits.when_full == WhenFull::DropOldest {
            for (number, oldest) in self.queued.records(self.in_memory_from..u64::MAX) {
                if usage.fits(limits, bytes) {
                    break;
                }
                usage.sub(oldest.len());
                victims.push(number);
            }
        }
        if !usage.fits(limits, bytes) {
            return None;
        }
        let victims = victims.into_iter();
        Some(victims.filter_map(|victim| self.take_out(victim)).collect())
    }

    pub(super) fn is_finished(&self) -> bool {
        !matches!(self.phase, Phase::Open)
            && self.queued.len() + self.leased.len() + self.unaccounted == 0
    }
}
