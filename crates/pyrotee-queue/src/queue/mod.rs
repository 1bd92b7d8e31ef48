//! One target's queue: limits, order, lanes, deferral and accounting, shared by all backends.
//!
//! Each record of a queue has a number; numbers grow. Records below `in_memory_from` are on disk and do not
//! count against the limits. The memory backend leaves `in_memory_from` at zero.
//!
//! A backend may change all numbers at once ([`Queue::renumber`]). So the queue indexes records by a *key* that never
//! changes: the number plus `State::base`. Public methods take and return numbers.
//!
//! `Producer::offer` takes the lock of the queue, on the request path. So no critical section calls a
//! backend, frees a body, wakes a thread or does anything else that takes long.

mod drops;
mod entry;
mod expiry;
mod held_back;
mod index;
mod numbers;
mod recover;
mod sharing;
mod shed;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::{LeaseEnd, LeaseFilter, Ledger, Limits, Reason, StepClock, lock};
pub use entry::{LeasedEntry, QueuedRecord, TakeResult};
pub use sharing::Waiting;
pub use shed::shed_oldest;
use state::{Phase, State};

/// One target's queue: limits, order, lanes, deferral, and every change of the [`Ledger`].
pub struct Queue<R> {
    ledger: Arc<Ledger>,
    clock: StepClock,
    state: Mutex<State<R>>,
    /// Wakes the consumer after a change. Holds one permit until the consumer waits.
    changed: Notify,
    /// Wakes the task that hands records over when the queue becomes pressed.
    pressed: Notify,
}

impl<R: QueuedRecord> Queue<R> {
    /// An empty queue.
    pub fn new(limits: Limits, ledger: Arc<Ledger>) -> Self {
        Self::with_clock(limits, ledger, StepClock::system())
    }

    /// An empty queue, which measures the ages of its records by `clock`.
    pub fn with_clock(limits: Limits, ledger: Arc<Ledger>, clock: StepClock) -> Self {
        Self {
            ledger,
            clock,
            state: Mutex::new(State::new(limits)),
            changed: Notify::new(),
            pressed: Notify::new(),
        }
    }

    /// The ledger of the target.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Waits until [`Queue::take`] may find a record again: until the queue changes, or until `next_due`,
    /// which the last call of `take` returned.
    pub async fn changed(&self, next_due: Option<Instant>) {
        let changed = self.changed.notified();
        match next_due {
            None => changed.await,
            Some(due) => tokio::select! {
                () = changed => {}
                () = sleep_until(due) => {}
            },
        }
    }

    /// Queues a record under the next number. `false`: the record was refused. The ledger counts both cases.
    pub fn push(&self, record: R) -> bool {
        let queued = self.push_as(0, record);
        if queued {
            self.notify();
        }
        queued
    }

    /// Queues a record as `number` or as the next number, whichever is higher. `false`: the record was
    /// refused. The ledger counts both cases. The consumer is not woken: the caller must call
    /// [`notify`](Self::notify) once it holds no lock, because this may wake a thread.
    pub fn push_as(&self, number: u64, record: R) -> bool {
        let bytes = record.len();
        let born = self.clock.birth(record.received());
        let mut state = lock(&self.state);
        let phase = state.phase;
        let room = match phase {
            Phase::Open => {
                let room = state.make_room(bytes);
                room.ok_or(Reason::QueueFull)
            }
            Phase::Frozen => Err(Reason::Shutdown),
            Phase::Closed(reason) | Phase::Abandoned(reason) => Err(reason),
        };
        let victims = match room {
            Ok(victims) => victims,
            Err(reason) => {
                drop(state);
                record.settled(Some(reason));
                self.ledger.refuse(bytes, reason);
                return false;
            }
        };
        // Counted under the lock, because no record may be settled before it is counted as accepted.
        self.ledger.accept(bytes);
        let key = state.key(number);
        let becomes_pressed = state.insert_new(key, record, born);
        drop(state);
        if becomes_pressed {
            self.pressed.notify_one();
        }
        self.lose(&victims, Reason::QueueFull);
        true
    }

    /// Wakes the consumer.
    pub fn notify(&self) {
        self.changed.notify_one();
    }

    /// Sets whether [`Limits::records`] applies. Default: it applies. When the limit begins to apply, records above
    /// the limit stay queued.
    pub fn limit_records(&self, limits: bool) {
        lock(&self.state).limits_records = limits;
    }

    /// Whether a record of `bytes` fits into an empty queue.
    pub fn can_hold(&self, bytes: u64) -> bool {
        bytes <= lock(&self.state).limits().bytes
    }

    /// Whether a record of `bytes` would be queued now without dropping another one.
    pub fn has_room(&self, bytes: u64) -> bool {
        let state = lock(&self.state);
        matches!(state.phase, Phase::Open) && state.has_room(bytes)
    }

    /// Keeps records with these numbers from being leased before `until`, for example because the backend cannot read
    /// them now.
    pub fn hold_back(&self, numbers: Range<u64>, until: Instant) {
        let mut state = lock(&self.state);
        let keys = state.keys(numbers);
        state.queued.hold_back(keys, until);
        drop(state);
        // The consumer must compute again how long it waits.
        self.notify();
    }

    /// Takes out a record numbered `from` or higher, to be leased. The filters select it as described at
    /// [`Consumer::lease`](crate::Consumer::lease). While the leased records reach the limit of bytes, only evicted
    /// records are taken.
    pub fn take(&self, filters: &[LeaseFilter], from: u64) -> TakeResult<R> {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Frozen) {
            return TakeResult::Finished;
        }
        let is_limited = state.is_lease_limit_reached();
        let filters = if is_limited { &[] } else { filters };
        let from = state.key(from);
        match state.take(filters, from) {
            Some(leased) => TakeResult::Leased(leased),
            None if state.is_finished() => TakeResult::Finished,
            // No record is available before a lease ends, which notifies the consumer.
            None if is_limited => TakeResult::NoMatch { next_due: None },
            None => TakeResult::NoMatch {
                next_due: state.queued.next_due(),
            },
        }
    }

    /// Ends the lease of a record.
    pub fn settle(&self, mut leased: LeasedEntry<R>, end: LeaseEnd) {
        let (key, bytes) = (leased.key, leased.record().len());
        let lost = match end {
            LeaseEnd::Acked => None,
            LeaseEnd::Lost(reason) => Some(reason),
            LeaseEnd::Released | LeaseEnd::Retried { .. } => {
                let mut state = lock(&self.state);
                let lost = state.lost_on_return(key);
                if lost.is_none() {
                    if let LeaseEnd::Retried { at, history } = end {
                        leased.entry.due = Some(at);
                        leased.entry.history = history;
                        leased.entry.failed_at = Some(Instant::now());
                    } else {
                        leased.entry.due = None;
                    }
                    state.remove_lease(key);
                    state.queued.insert(key, leased.entry);
                    drop(state);
                    self.notify();
                    return;
                }
                lost
            }
        };
        // The record counts as leased until the backend and the ledger have counted its end, so that the queue
        // does not count as finished before.
        leased.record().settled(lost);
        match lost {
            None => self.ledger.sent(bytes),
            Some(reason) => self.ledger.lose(bytes, reason),
        }
        let surface = leased.record().surface();
        let mut state = lock(&self.state);
        if lost.is_none() {
            state.queued.acked(surface);
        }
        self.end_lease(state, key);
    }

    /// Ends the lease of a record that is not pending any more.
    fn end_lease(&self, mut state: MutexGuard<'_, State<R>>, key: u64) {
        let was_limited = state.is_lease_limit_reached();
        state.end_lease(key);
        let wakes = was_limited || state.is_finished();
        drop(state);
        // The consumer needs the end of a lease only if it waits for leased bytes or for the end of the queue.
        if wakes {
            self.notify();
        }
    }

    /// Puts a record back as if it had never been taken: a deferred one stays deferred.
    pub fn put_back(&self, leased: LeasedEntry<R>) {
        let end = match leased.entry.due {
            None => LeaseEnd::Released,
            Some(at) => LeaseEnd::Retried {
                at,
                history: leased.entry.history,
            },
        };
        self.settle(leased, end);
    }

    /// Releases all records that are held back.
    pub fn release_held_back(&self) {
        lock(&self.state).queued.release_held_back();
        self.notify();
    }

    /// Moves all untried records to the backlog.
    pub fn fall_behind(&self) {
        let mut state = lock(&self.state);
        let next = state.next_key;
        state.queued.fall_behind(next);
        drop(state);
        self.notify();
    }

    /// Takes the records below `number` off the in-memory limits: the backend has written them to disk.
    pub fn moved_to_disk(&self, number: u64) {
        let mut state = lock(&self.state);
        let key = state.key(number);
        state.moved_to_disk(key);
    }

    /// The lowest number of the records in memory. Records with lower numbers are on disk.
    pub fn in_memory_from(&self) -> u64 {
        let state = lock(&self.state);
        state.number(state.in_memory_from)
    }

    /// Closes the queue to new records, which are refused for `reason`. Pending records are still leased.
    pub fn close(&self, reason: Reason) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closed(reason);
        }
        drop(state);
        self.notify();
    }

    /// Why the queue refuses new records; `None`: it is open, or frozen.
    pub fn closed_for(&self) -> Option<Reason> {
        match lock(&self.state).phase {
            Phase::Open | Phase::Frozen => None,
            Phase::Closed(reason) | Phase::Abandoned(reason) => Some(reason),
        }
    }

    /// Opens the queue again if it was closed or abandoned because its target was removed, and sets its limits. Pending
    /// records stay.
    pub fn reopen(&self, limits: Limits) {
        let mut state = lock(&self.state);
        state.set_limits(limits);
        let (Phase::Closed(reason) | Phase::Abandoned(reason)) = state.phase else {
            return;
        };
        if reason == Reason::TargetRemoved {
            state.phase = Phase::Open;
        }
    }

    /// Stops leasing. Pending records stay pending: a later process delivers them.
    pub fn freeze(&self) {
        lock(&self.state).phase = Phase::Frozen;
        self.notify();
    }

    /// The numbers of the leased records.
    pub fn in_flight(&self) -> Vec<u64> {
        let state = lock(&self.state);
        state.leased.keys().map(|key| state.number(*key)).collect()
    }
}

impl<R> fmt::Debug for Queue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("limits", lock(&self.state).limits())
            .finish_non_exhaustive()
    }
}
