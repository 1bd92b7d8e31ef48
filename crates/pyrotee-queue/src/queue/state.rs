//! What a queue knows, under its lock.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tokio::time::Instant;

use super::Taken;
use super::waiting::{Waiting, WaitingRoom, Waits};
use crate::{History, Limits, Reason, Wanted, WhenFull};

#[derive(Debug)]
pub(super) struct State<R> {
    pub(super) phase: Phase,
    /// Records that nobody has leased.
    pub(super) waiting: WaitingRoom<R>,
    pub(super) leased: BTreeMap<u64, Leased>,
    /// Records that were taken out to be lost, and are not accounted for yet.
    pub(super) leaving: usize,
    /// What counts against the limits, waiting and leased.
    held: Held,
    /// Lower numbers lie elsewhere and do not count.
    pub(super) held_from: u64,
    /// What is leased and numbered lower is lost when it comes back.
    pub(super) floor: Option<(u64, Reason)>,
    pub(super) next_number: u64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Phase {
    #[default]
    Open,
    /// The producer is gone: what is pending is still delivered.
    Closed,
    /// Nothing is delivered any more but what is in flight; what is pending stays pending.
    Kept,
    /// Nothing is delivered any more but what is in flight; the rest is lost.
    Abandoned(Reason),
}

#[derive(Debug)]
pub(super) struct Leased {
    pub(super) received: SystemTime,
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Held {
    records: usize,
    bytes: u64,
}

impl Held {
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
            waiting: WaitingRoom::default(),
            leased: BTreeMap::new(),
            leaving: 0,
            held: Held::default(),
            held_from: 0,
            floor: None,
            next_number: 0,
        }
    }
}

impl<R: Waits> State<R> {
    pub(super) fn insert_new(&mut self, number: u64, record: R) {
        let number = number.max(self.next_number);
        self.next_number = number + 1;
        if number >= self.held_from {
            self.held.records += 1;
            self.held.bytes += record.len();
        }
        let waiting = Waiting {
            record,
            offered: Instant::now(),
            history: History::default(),
            due: None,
        };
        self.waiting.insert(number, waiting);
    }

    pub(super) fn take(&mut self, wanted: &[Wanted], from: u64) -> Option<Taken<R>> {
        let taken = self.waiting.take(wanted, from, Instant::now())?;
        let record = &taken.waiting.record;
        let leased = Leased {
            received: record.received(),
            bytes: record.len(),
        };
        self.leased.insert(taken.number, leased);
        Some(taken)
    }

    /// What was pending as `number` counts no more.
    pub(super) fn release(&mut self, number: u64, bytes: u64) {
        if number >= self.held_from {
            self.held.sub(bytes);
        }
    }

    /// Why a lease that did not end with the record's end ends with it nevertheless.
    pub(super) fn lost_on_return(&self, number: u64) -> Option<Reason> {
        if let Phase::Abandoned(reason) = self.phase {
            return Some(reason);
        }
        let floor = self.floor.filter(|(floor, _)| number < *floor);
        floor.map(|(_, reason)| reason)
    }

    /// A record that waits no more; whoever asks must account for it.
    pub(super) fn take_out(&mut self, number: u64) -> Option<Waiting<R>> {
        let waiting = self.waiting.remove(number)?;
        self.release(number, waiting.record.len());
        Some(waiting)
    }

    pub(super) fn move_elsewhere(&mut self, number: u64) {
        if number <= self.held_from {
            return;
        }
        let moved = self.held_from..number;
        for (_, record) in self.waiting.records(moved.clone()) {
            self.held.sub(record.len());
        }
        for (_, leased) in self.leased.range(moved) {
            self.held.sub(leased.bytes);
        }
        self.held_from = number;
    }

    pub(super) fn has_room(&self, limits: &Limits, bytes: u64) -> bool {
        self.held.fits(limits, bytes)
    }

    /// The oldest waiting records that must go so that `bytes` fit; `None` if that is not enough, or
    /// not the policy.
    pub(super) fn make_room(&mut self, limits: &Limits, bytes: u64) -> Option<Vec<Waiting<R>>> {
        let (mut held, mut victims) = (self.held, Vec::new());
        if limits.when_full == WhenFull::DropOldest {
            for (number, oldest) in self.waiting.records(self.held_from..u64::MAX) {
                if held.fits(limits, bytes) {
                    break;
                }
                held.sub(oldest.len());
                victims.push(number);
            }
        }
        if !held.fits(limits, bytes) {
            return None;
        }
        let victims = victims.into_iter();
        Some(victims.filter_map(|victim| self.take_out(victim)).collect())
    }

    pub(super) fn is_finished(&self) -> bool {
        !matches!(self.phase, Phase::Open)
            && self.waiting.len() + self.leased.len() + self.leaving == 0
    }
}
