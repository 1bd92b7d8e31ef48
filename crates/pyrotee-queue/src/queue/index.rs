//! The entries of one target's queue that are not leased.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tokio::time::Instant;

use super::entry::{LeasedEntry, QueueEntry, QueuedRecord};
use crate::{FRESH_FOR, Lane, LeaseFilter, SurfaceId};

/// Entries by the number of their offer. The number of each is in exactly one of `ready` and `deferred`.
#[derive(Debug)]
pub(super) struct EntryIndex<R> {
    entries: BTreeMap<u64, QueueEntry<R>>,
    /// Numbers of the entries that may be leased now.
    ready: BTreeMap<SurfaceId, BTreeSet<u64>>,
    /// Numbers of the entries whose retry is not due yet, with the time at which it is.
    deferred: BTreeSet<(Instant, u64)>,
    /// The first number of the fresh lane; lower numbers are backlog.
    fresh_from: u64,
}

impl<R> Default for EntryIndex<R> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            ready: BTreeMap::new(),
            deferred: BTreeSet::new(),
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

    pub(super) fn oldest(&self) -> Option<(u64, &R)> {
        let (number, entry) = self.entries.first_key_value()?;
        Some((*number, &entry.record))
    }

    /// When the retry of the next deferred record is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.deferred.first().map(|(due, _)| *due)
    }

    pub(super) fn insert(&mut self, number: u64, entry: QueueEntry<R>) {
        match entry.due {
            Some(due) => {
                self.deferred.insert((due, number));
            }
            None => self.make_ready(entry.record.surface(), number),
        }
        self.entries.insert(number, entry);
    }

    /// Moves the entries with numbers below `number` to the backlog.
    pub(super) fn fall_behind(&mut self, number: u64) {
        self.fresh_from = self.fresh_from.max(number);
    }

    /// Takes out the oldest entry, numbered `from` or higher, that passes the first filter that any passes.
    pub(super) fn take(
        &mut self,
        filters: &[LeaseFilter],
        from: u64,
        now: Instant,
    ) -> Option<LeasedEntry<R>> {
        self.ready_due_entries(now);
        self.age_fresh_entries(now);
        let number = filters.iter().find_map(|filter| self.find(*filter, from))?;
        let lane = if number < self.fresh_from {
            Lane::Backlog
        } else {
            Lane::Fresh
        };
        let entry = self.remove(number)?;
        Some(LeasedEntry {
            number,
            lane,
            entry,
        })
    }

    fn find(&self, filter: LeaseFilter, from: u64) -> Option<u64> {
        let numbers = match filter.lane {
            Lane::Fresh => self.fresh_from.max(from)..u64::MAX,
            Lane::Backlog => from.min(self.fresh_from)..self.fresh_from,
        };
        if filter.deferred {
            return self.find_deferred(filter, &numbers);
        }
        let surfaces = self
            .ready
            .iter()
            .filter(|(surface, _)| filter.surfaces.contains(**surface));
        surfaces
            .filter_map(|(_, ready)| ready.range(numbers.clone()).next().copied())
            .min()
    }

    fn find_deferred(&self, filter: LeaseFilter, numbers: &Range<u64>) -> Option<u64> {
        let surface = |number: &u64| {
            let entry = self.entries.get(number);
            entry.is_some_and(|entry| filter.surfaces.contains(entry.record.surface()))
        };
        let mut deferred = self.deferred.iter().map(|(_, number)| *number);
        deferred.find(|number| numbers.contains(number) && surface(number))
    }

    /// Makes the deferred entries ready whose retry is due.
    fn ready_due_entries(&mut self, now: Instant) {
        while let Some(&(due, number)) = self.deferred.first()
            && due <= now
        {
            self.deferred.pop_first();
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.due = None;
                let surface = entry.record.surface();
                self.make_ready(surface, number);
            }
        }
    }

    /// Moves entries to the backlog that were offered [`FRESH_FOR`] ago.
    fn age_fresh_entries(&mut self, now: Instant) {
        while let Some((&number, oldest)) = self.entries.range(self.fresh_from..).next()
            && now.saturating_duration_since(oldest.offered) >= FRESH_FOR
        {
            self.fresh_from = number + 1;
        }
    }

    fn make_ready(&mut self, surface: SurfaceId, number: u64) {
        self.ready.entry(surface).or_default().insert(number);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<QueueEntry<R>> {
        let entry = self.entries.remove(&number)?;
        match entry.due {
            Some(due) => {
                self.deferred.remove(&(due, number));
            }
            None => {
                if let Some(ready) = self.ready.get_mut(&entry.record.surface()) {
                    ready.remove(&number);
                }
            }
        }
        Some(entry)
    }
}
