//! The records of one target that nobody has leased.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::Taken;
use crate::{FRESH_FOR, History, Lane, Reason, Record, SurfaceId, Wanted};

/// What waits in a [`Queue`](super::Queue): a record, or what a backend keeps in its place.
pub trait Waits {
    /// The surface that it came in by.
    fn surface(&self) -> SurfaceId;

    /// When it was received.
    fn received(&self) -> SystemTime;

    /// Length of the captured body, in bytes.
    fn len(&self) -> u64;

    /// Whether the captured body is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The target is done with it: it was sent, or lost for a reason. Called once at most, and under no
    /// lock of the queue.
    fn settled(&self, _lost: Option<Reason>) {}
}

impl Waits for Arc<Record> {
    fn surface(&self) -> SurfaceId {
        self.head().surface
    }

    fn received(&self) -> SystemTime {
        self.head().received
    }

    fn len(&self) -> u64 {
        Record::len(self)
    }
}

/// A record that waits.
#[derive(Debug)]
pub struct Waiting<R> {
    /// The record, or what stands for it.
    pub record: R,
    pub(super) offered: Instant,
    /// What is known of earlier tries.
    pub history: History,
    /// When its next try is due, if that is not at once.
    pub(super) due: Option<Instant>,
}

/// Records by the number of their offer. Each stands in exactly one of the two indexes.
#[derive(Debug)]
pub(super) struct WaitingRoom<R> {
    records: BTreeMap<u64, Waiting<R>>,
    /// Numbers of those that may be leased at once.
    ready: BTreeMap<SurfaceId, BTreeSet<u64>>,
    /// Numbers of those that wait for their next try.
    deferred: BTreeSet<(Instant, u64)>,
    /// Lower numbers are backlog.
    fresh_from: u64,
}

impl<R> Default for WaitingRoom<R> {
    fn default() -> Self {
        Self {
            records: BTreeMap::new(),
            ready: BTreeMap::new(),
            deferred: BTreeSet::new(),
            fresh_from: 0,
        }
    }
}

impl<R: Waits> WaitingRoom<R> {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Records from number `from` on.
    pub(super) fn records(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, &R)> {
        let waiting = self.records.range(numbers);
        waiting.map(|(number, waiting)| (*number, &waiting.record))
    }

    pub(super) fn oldest(&self) -> Option<(u64, &R)> {
        let (number, waiting) = self.records.first_key_value()?;
        Some((*number, &waiting.record))
    }

    /// When the next deferred record is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.deferred.first().map(|(due, _)| *due)
    }

    pub(super) fn insert(&mut self, number: u64, waiting: Waiting<R>) {
        match waiting.due {
            Some(due) => {
                self.deferred.insert((due, number));
            }
            None => self.make_ready(waiting.record.surface(), number),
        }
        self.records.insert(number, waiting);
    }

    /// Numbers below `number` are backlog.
    pub(super) fn fall_behind(&mut self, number: u64) {
        self.fresh_from = self.fresh_from.max(number);
    }

    /// The oldest record, numbered `from` or higher, of the first kind that there is one of.
    pub(super) fn take(&mut self, wanted: &[Wanted], from: u64, now: Instant) -> Option<Taken<R>> {
        self.wake(now);
        self.age(now);
        let number = wanted.iter().find_map(|wanted| self.find(*wanted, from))?;
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

    fn find(&self, wanted: Wanted, from: u64) -> Option<u64> {
        let numbers = match wanted.lane {
            Lane::Fresh => self.fresh_from.max(from)..u64::MAX,
            Lane::Backlog => from.min(self.fresh_from)..self.fresh_from,
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
            waiting.is_some_and(|waiting| wanted.surfaces.contains(waiting.record.surface()))
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
                let surface = waiting.record.surface();
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

    pub(super) fn remove(&mut self, number: u64) -> Option<Waiting<R>> {
        let waiting = self.records.remove(&number)?;
        match waiting.due {
            Some(due) => {
                self.deferred.remove(&(due, number));
            }
            None => {
                if let Some(ready) = self.ready.get_mut(&waiting.record.surface()) {
                    ready.remove(&number);
                }
            }
        }
        Some(waiting)
    }
}
