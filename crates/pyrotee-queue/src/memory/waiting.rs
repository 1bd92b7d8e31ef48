//! The records of one target that nobody has leased.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use tokio::time::Instant;

use crate::{FRESH_FOR, History, Lane, Record, SurfaceId, Wanted};

/// A record that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) record: Arc<Record>,
    pub(super) offered: Instant,
    pub(super) history: History,
    /// When its next try is due, if that is not at once.
    pub(super) due: Option<Instant>,
}

/// A record on its way to be leased.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) number: u64,
    pub(super) lane: Lane,
    pub(super) waiting: Waiting,
}

/// Records by the number of their offer. Each stands in exactly one of the two indexes.
#[derive(Debug, Default)]
pub(super) struct WaitingRoom {
    records: BTreeMap<u64, Waiting>,
    /// Numbers of those that may be leased at once.
    ready: BTreeMap<SurfaceId, BTreeSet<u64>>,
    /// Numbers of those that wait for their next try.
    deferred: BTreeSet<(Instant, u64)>,
    /// Lower numbers are backlog.
    fresh_from: u64,
}

impl WaitingRoom {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Records from the oldest on.
    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.values().map(|waiting| &waiting.record)
    }

    pub(super) fn oldest(&self) -> Option<&Arc<Record>> {
        self.records().next()
    }

    /// When the next deferred record is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.deferred.first().map(|(due, _)| *due)
    }

    pub(super) fn insert(&mut self, number: u64, waiting: Waiting) {
        match waiting.due {
            Some(due) => {
                self.deferred.insert((due, number));
            }
            None => self.make_ready(waiting.record.head().surface, number),
        }
        self.records.insert(number, waiting);
    }

    pub(super) fn take_oldest(&mut self) -> Option<Arc<Record>> {
        let (&number, _) = self.records.first_key_value()?;
        self.remove(number).map(|waiting| waiting.record)
    }

    /// Numbers below `number` are backlog.
    pub(super) fn fall_behind(&mut self, number: u64) {
        self.fresh_from = self.fresh_from.max(number);
    }

    /// The oldest record of the first kind that there is one of.
    pub(super) fn take(&mut self, wanted: &[Wanted], now: Instant) -> Option<Taken> {
        self.wake(now);
        self.age(now);
        let number = wanted.iter().find_map(|wanted| self.find(*wanted))?;
        let lane = if number < self.fresh_from {
            Lane::Backlog
        } else {
            Lane::Fresh
        };
        let waiting = self.remove(number)?;
        Some(Taken {
            number,
            lane,
            waiting,
        })
    }

    fn find(&self, wanted: Wanted) -> Option<u64> {
        let numbers = match wanted.lane {
            Lane::Fresh => self.fresh_from..u64::MAX,
            Lane::Backlog => 0..self.fresh_from,
        };
        if wanted.early {
            return self.find_deferred(wanted, &numbers);
        }
        let surfaces = self
            .ready
            .iter()
            .filter(|(surface, _)| wanted.surfaces.contains(**surface));
        surfaces
            .filter_map(|(_, ready)| ready.range(numbers.clone()).next().copied())
            .min()
    }

    fn find_deferred(&self, wanted: Wanted, numbers: &Range<u64>) -> Option<u64> {
        let surface = |number: &u64| {
            let waiting = self.records.get(number);
            waiting.is_some_and(|waiting| wanted.surfaces.contains(waiting.record.head().surface))
        };
        let mut deferred = self.deferred.iter().map(|(_, number)| *number);
        deferred.find(|number| numbers.contains(number) && surface(number))
    }

    /// Deferred records whose time has come are ready.
    fn wake(&mut self, now: Instant) {
        while let Some(&(due, number)) = self.deferred.first()
            && due <= now
        {
            self.deferred.pop_first();
            if let Some(waiting) = self.records.get_mut(&number) {
                waiting.due = None;
                let surface = waiting.record.head().surface;
                self.make_ready(surface, number);
            }
        }
    }

    /// Records that have waited for too long are fresh no more.
    fn age(&mut self, now: Instant) {
        while let Some((&number, oldest)) = self.records.range(self.fresh_from..).next()
            && now.saturating_duration_since(oldest.offered) >= FRESH_FOR
        {
            self.fresh_from = number + 1;
        }
    }

    fn make_ready(&mut self, surface: SurfaceId, number: u64) {
        self.ready.entry(surface).or_default().insert(number);
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.records.remove(&number)?;
        match waiting.due {
            Some(due) => {
                self.deferred.remove(&(due, number));
            }
            None => {
                if let Some(ready) = self.ready.get_mut(&waiting.record.head().surface) {
                    ready.remove(&number);
                }
            }
        }
        Some(waiting)
    }
}
