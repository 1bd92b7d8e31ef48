//! The entries of one target's queue that are not leased.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::SystemTime;

use tokio::time::Instant;

use super::entry::{LeasedEntry, QueueEntry, QueuedRecord};
use super::held_back::HeldBack;
use crate::{FRESH_FOR, Lane, LeaseFilter, SurfaceId};

/// The queued entries of a queue by their key, which is called a number here. Each number is in exactly one of
/// `untried`, `failed`, `deferred` and `evicted`.
#[derive(Debug)]
pub(super) struct EntryIndex<R> {
    entries: BTreeMap<u64, QueueEntry<R>>,
    /// Numbers of the entries without a failed delivery, by surface.
    untried: BTreeMap<SurfaceId, BTreeSet<u64>>,
    /// Entries with a failed delivery whose retry is due, in the order of the times at which they became ready, so
    /// that no entry is passed over.
    failed: BTreeSet<(Instant, u64)>,
    /// Entries whose retry is not due yet, in the order of their due times.
    deferred: BTreeSet<(Instant, u64)>,
    /// Evicted entries, which are leased only to be dropped.
    evicted: BTreeSet<u64>,
    /// Entries with a failed delivery, by the failures while the target accepted other records. Each is also in
    /// `failed` or `deferred`.
    by_failures: BTreeSet<(u32, u64)>,
    /// When the target last acknowledged a record of each surface.
    acked_at: BTreeMap<SurfaceId, Instant>,
    /// Numbers that are not leased before a given time.
    held_back: HeldBack,
    /// The first number of the fresh lane; lower numbers are backlog.
    fresh_from: u64,
}

/// Most entries that are examined to make room, or to find one that can be handed over, while an offer waits.
const LOOKED_AT: usize = 64;

impl<R> Default for EntryIndex<R> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            untried: BTreeMap::new(),
            failed: BTreeSet::new(),
            deferred: BTreeSet::new(),
            evicted: BTreeSet::new(),
            by_failures: BTreeSet::new(),
            acked_at: BTreeMap::new(),
            held_back: HeldBack::default(),
            fresh_from: 0,
        }
    }
}

impl<R: QueuedRecord> EntryIndex<R> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The records with these numbers, the oldest first.
    pub(super) fn records(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, &R)> {
        let entries = self.entries.range(numbers);
        entries.map(|(number, entry)| (*number, &entry.record))
    }

    /// The records with these numbers that count against the limits, the oldest first.
    pub(super) fn counted(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, &R)> {
        let entries = self.entries.range(numbers);
        let counted = entries.filter(|(_, entry)| !entry.evicted);
        counted.map(|(number, entry)| (*number, &entry.record))
    }

    /// Records that failed while the target accepted other records of their surface, those with the most such
    /// failures first. At most [`LOOKED_AT`] records with a failed delivery are examined.
    pub(super) fn culprits(&self) -> impl Iterator<Item = (u64, &R)> {
        let most_failures = self.by_failures.iter().rev().take(LOOKED_AT);
        most_failures.filter_map(|(failures, number)| {
            let entry = self.entries.get(number)?;
            let acked_at = self.acked_at.get(&entry.record.surface());
            // The first failure is counted in any case. It is evidence only if the target acknowledged a record since.
            let is_culprit = *failures > 1 || acked_at.copied() > entry.failed_at;
            is_culprit.then_some((*number, &entry.record))
        })
    }

    /// Notes that the target acknowledged a record of `surface` now.
    pub(super) fn acked(&mut self, surface: SurfaceId) {
        self.acked_at.insert(surface, Instant::now());
    }

    pub(super) fn oldest(&self) -> Option<(u64, &R)> {
        let (number, entry) = self.entries.first_key_value()?;
        Some((*number, &entry.record))
    }

    /// The oldest untried entry of any surface whose record passes `fits`, and when it was offered. At most
    /// [`LOOKED_AT`] records of each surface are examined.
    pub(super) fn oldest_untried(
        &self,
        fits: &mut impl FnMut(&R) -> bool,
    ) -> Option<(u64, Instant)> {
        let mut first = |numbers: &BTreeSet<u64>| {
            let mut entries = numbers.iter().take(LOOKED_AT).filter_map(|number| {
                let entry = self.entries.get(number)?;
                Some((*number, entry))
            });
            let (number, entry) = entries.find(|(_, entry)| fits(&entry.record))?;
            Some((number, entry.offered))
        };
        self.untried.values().filter_map(&mut first).min()
    }

    /// The entries with these numbers and when each was received, in steady time, the lowest number first.
    pub(super) fn births(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, SystemTime)> {
        let entries = self.entries.range(numbers);
        entries.map(|(number, entry)| (*number, entry.born))
    }

    /// When the next retry is due or the next held-back range is released, whichever is earlier. `None`: neither.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = self.deferred.first().map(|(due, _)| *due);
        due.into_iter().chain(self.held_back.next_release()).min()
    }

    /// Keeps these numbers from being leased before `until`.
    pub(super) fn hold_back(&mut self, numbers: Range<u64>, until: Instant) {
        self.held_back.add(numbers, until);
    }

    pub(super) fn insert(&mut self, number: u64, entry: QueueEntry<R>) {
        match entry.due {
            _ if entry.evicted => {
                self.evicted.insert(number);
            }
            Some(due) => {
                self.deferred.insert((due, number));
            }
            None => self.make_ready(&entry, number),
        }
        if entry.has_failed() && !entry.evicted {
            let failures = entry.history.failures_while_healthy;
            self.by_failures.insert((failures, number));
        }
        self.entries.insert(number, entry);
    }

    /// Releases all ranges that are held back.
    pub(super) fn release_held_back(&mut self) {
        self.held_back = HeldBack::default();
    }

    /// Moves the entries with numbers below `number` to the backlog.
    pub(super) fn fall_behind(&mut self, number: u64) {
        self.fresh_from = self.fresh_from.max(number);
    }

    /// Takes out an evicted entry. If there is none, applies the first of `filters` that any entry passes, and takes
    /// out the oldest entry that passes this filter; in the failed lane, and among deferred entries, the entry whose
    /// retry is due first. Only entries numbered `from` or higher are taken.
    pub(super) fn take(
        &mut self,
        filters: &[LeaseFilter],
        from: u64,
        now: Instant,
    ) -> Option<LeasedEntry<R>> {
        self.held_back.release(now);
        self.ready_due_entries(now);
        self.age_fresh_entries(now);
        let evicted = self.first_of(&self.evicted, from..u64::MAX);
        let wanted = || filters.iter().find_map(|filter| self.find(*filter, from));
        let number = evicted.or_else(wanted)?;
        self.take_out(number)
    }

    /// Takes out the entry with this number, if it is queued.
    pub(super) fn take_out(&mut self, number: u64) -> Option<LeasedEntry<R>> {
        let entry = self.remove(number)?;
        let lane = match entry.has_failed() {
            true => Lane::Failed,
            false if number < self.fresh_from => Lane::Backlog,
            false => Lane::Fresh,
        };
        Some(LeasedEntry {
            key: number,
            lane,
            entry,
        })
    }

    fn find(&self, filter: LeaseFilter, from: u64) -> Option<u64> {
        let numbers = match filter.lane {
            Lane::Fresh => self.fresh_from.max(from)..u64::MAX,
            Lane::Backlog => from.min(self.fresh_from)..self.fresh_from,
            Lane::Failed => from..u64::MAX,
        };
        match (filter.deferred, filter.lane) {
            (true, _) => self.find_by_time(&self.deferred, filter, &numbers),
            (false, Lane::Failed) => self.find_by_time(&self.failed, filter, &numbers),
            (false, Lane::Fresh | Lane::Backlog) => {
                let surfaces = self.untried.iter();
                let surfaces = surfaces.filter(|(surface, _)| filter.surfaces.contains(**surface));
                surfaces
                    .filter_map(|(_, ready)| self.first_of(ready, numbers.clone()))
                    .min()
            }
        }
    }

    /// The lowest of these numbers in `set` that is not held back.
    fn first_of(&self, set: &BTreeSet<u64>, mut numbers: Range<u64>) -> Option<u64> {
        loop {
            let first = *set.range(numbers.clone()).next()?;
            match self.held_back.end_of(first) {
                None => return Some(first),
                Some(end) => numbers.start = end.min(numbers.end),
            }
        }
    }

    /// The first entry of `set` that passes the filter and has one of these numbers.
    fn find_by_time(
        &self,
        set: &BTreeSet<(Instant, u64)>,
        filter: LeaseFilter,
        numbers: &Range<u64>,
    ) -> Option<u64> {
        let passes = |number: &u64| {
            let entry = self.entries.get(number);
            entry.is_some_and(|entry| {
                filter.surfaces.contains(entry.record.surface())
                    && entry.has_failed() == (filter.lane == Lane::Failed)
            })
        };
        let mut found = set.iter().map(|(_, number)| *number);
        let is_held_back = |number| self.held_back.end_of(number).is_some();
        found.find(|number| numbers.contains(number) && passes(number) && !is_held_back(*number))
    }

    /// Makes deferred entries ready once their retry is due.
    fn ready_due_entries(&mut self, now: Instant) {
        while let Some(&(due, number)) = self.deferred.first()
            && due <= now
        {
            self.deferred.pop_first();
            if let Some(mut entry) = self.entries.remove(&number) {
                (entry.due, entry.ready_at) = (None, due);
                self.make_ready(&entry, number);
                self.entries.insert(number, entry);
            }
        }
    }

    /// Moves untried entries that were offered at least [`FRESH_FOR`] ago to the backlog.
    fn age_fresh_entries(&mut self, now: Instant) {
        while let Some((&number, oldest)) = self.entries.range(self.fresh_from..).next()
            && now.saturating_duration_since(oldest.offered) >= FRESH_FOR
        {
            self.fresh_from = number + 1;
        }
    }

    fn make_ready(&mut self, entry: &QueueEntry<R>, number: u64) {
        if entry.has_failed() {
            self.failed.insert((entry.ready_at, number));
        } else {
            let surface = entry.record.surface();
            self.untried.entry(surface).or_default().insert(number);
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<QueueEntry<R>> {
        let entry = self.entries.remove(&number)?;
        if entry.has_failed() {
            let failures = entry.history.failures_while_healthy;
            self.by_failures.remove(&(failures, number));
        }
        match entry.due {
            _ if entry.evicted => {
                self.evicted.remove(&number);
            }
            Some(due) => {
                self.deferred.remove(&(due, number));
            }
            None if entry.has_failed() => {
                self.failed.remove(&(entry.ready_at, number));
            }
            None => {
                if let Some(numbers) = self.untried.get_mut(&entry.record.surface()) {
                    numbers.remove(&number);
                }
            }
        }
        Some(entry)
    }
}
