//! The age of queued records.
//!
//! Ages do not change when the wall clock is set. The age of a record is its age by the wall clock when the record was
//! queued (zero, if its time of receipt was in the future), plus the time since then by the monotonic clock.

use std::time::{Duration, SystemTime};

use super::Queue;
use super::entry::{LeasedEntry, QueuedRecord};
use crate::{Birth, Reason, lock};

/// Most entries that a sweep examines under one hold of the lock.
const MOST_AT_ONCE: usize = 1_000;

/// Number of sweeps over all entries during the longest age of a record.
const SWEEPS: u32 = 10;

/// Shortest and longest time between two sweeps.
const SWEEP_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl<R: QueuedRecord> Queue<R> {
    /// Drops the records that were received before `received_before`, a time of the current wall clock, as
    /// [`Reason::Expired`]: from the lowest number on, until a record is younger. Numbers follow the ends of request
    /// bodies, and a record of an earlier process may have a time of receipt in the future, so older records may be
    /// behind a younger one. These are dropped by a sweep over all entries, every 1 to 60 s.
    pub fn expire(&self, received_before: SystemTime) {
        let born_before = self.clock.to_steady(received_before);
        self.lose_while_oldest(born_before);
        let longest = self.clock.now().duration_since(born_before);
        let pause = longest.unwrap_or_default() / SWEEPS;
        let pause = pause.clamp(SWEEP_PAUSES.0, SWEEP_PAUSES.1);
        if lock(&self.state).is_sweep_due(pause) {
            self.sweep(born_before);
        }
    }

    fn lose_while_oldest(&self, born_before: SystemTime) {
        self.lose_each(Reason::Expired, |state| {
            let (key, born) = state.queued.births(0..u64::MAX).next()?;
            (born < born_before).then_some(key)
        });
    }

    /// Drops all queued records that were received before `born_before`, and stores the key of the oldest that is left.
    fn sweep(&self, born_before: SystemTime) {
        let mut from = 0;
        let mut oldest: Option<(SystemTime, u64)> = None;
        loop {
            let state = lock(&self.state);
            let births = state.queued.births(from..u64::MAX).take(MOST_AT_ONCE);
            let births: Vec<_> = births.collect();
            drop(state);
            let Some((last, _)) = births.last() else {
                break;
            };
            from = last + 1;
            for (key, born) in births {
                if born < born_before {
                    self.lose_now(key);
                } else if oldest.is_none_or(|oldest| (born, key) < oldest) {
                    oldest = Some((born, key));
                }
            }
        }
        lock(&self.state).sweep.oldest = oldest.map(|(_, key)| key);
    }

    fn lose_now(&self, key: u64) {
        self.lose_each(Reason::Expired, |state| {
            let mut births = state.queued.births(key..key + 1);
            births.next().map(|(key, _)| key)
        });
    }

    /// When a leased record was received.
    pub fn birth(&self, leased: &LeasedEntry<R>) -> Birth {
        Birth::new(leased.born(), self.clock.clone())
    }

    /// When the oldest pending record was received, in flight included, as a time of the current wall clock. `None`: no
    /// record is pending.
    pub fn oldest(&self) -> Option<SystemTime> {
        let state = lock(&self.state);
        let first = state.queued.births(0..u64::MAX).next();
        let swept = state.sweep.oldest;
        let swept = swept.and_then(|it| state.queued.births(it..it + 1).next());
        let queued = first.into_iter().chain(swept).map(|(_, born)| born);
        let leased = state.leased.values().map(|leased| leased.born);
        let oldest = leased.chain(queued).min()?;
        Some(self.clock.to_wall(oldest))
    }
}
