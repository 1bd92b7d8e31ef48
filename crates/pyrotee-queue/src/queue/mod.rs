//! One target's queue, whatever its backend keeps in it.
//!
//! Records are told apart by numbers that grow. What is numbered below a mark lies elsewhere (the
//! spool has written it to disk) and does not count against the limits; for a backend in memory the
//! mark stays at zero.
//!
//! Whoever offers a record waits for this lock, on the path of a client. So nothing is done under it that
//! takes long, calls out, frees a body or wakes a thread.

mod state;
#[cfg(test)]
mod tests;
mod waiting;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::{Fate, History, Lane, Ledger, Limits, Reason, Tally, Wanted, lock};
use state::{Phase, State};
pub use waiting::{Waiting, Waits};

/// Records that are lost under one hold of the lock: freeing a whole segment's takes milliseconds.
const LOST_AT_ONCE: usize = 64;

/// One target's queue: limits, order, lanes, deferral, and every entry in the [`Ledger`].
pub struct Queue<R> {
    limits: Limits,
    ledger: Arc<Ledger>,
    state: Mutex<State<R>>,
    /// One permit for a change, for the one who leases.
    changed: Notify,
}

/// A record on its way to be leased.
#[derive(Debug)]
pub struct Taken<R> {
    /// The number of its offer.
    pub number: u64,
    /// The part of the queue that it came from.
    pub lane: Lane,
    /// The record itself.
    pub waiting: Waiting<R>,
}

/// What [`Queue::take`] found.
#[derive(Debug)]
pub enum Next<R> {
    /// A record, which counts as leased until it is settled.
    Ready(Taken<R>),
    /// Nothing that is wanted.
    Nothing {
        /// When the next deferred record is due.
        due: Option<Instant>,
    },
    /// Nothing comes any more.
    Finished,
}

impl<R: Waits> Queue<R> {
    /// An empty queue.
    pub fn new(limits: Limits, ledger: Arc<Ledger>) -> Self {
        Self {
            limits,
            ledger,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The target's account.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Waits until something may have changed since the last [`Queue::take`], which said when the next
    /// deferred record is `due`.
    pub async fn changed(&self, due: Option<Instant>) {
        let changed = self.changed.notified();
        match due {
            None => changed.await,
            Some(due) => tokio::select! {
                () = changed => {}
                () = sleep_until(due) => {}
            },
        }
    }

    /// Whether the record was taken, as the next number. Either way the ledger knows.
    pub fn push(&self, record: R) -> bool {
        let taken = self.push_as(0, record);
        if taken {
            self.notify();
        }
        taken
    }

    /// Whether the record was taken, as `number` or the next one, whichever is higher. It is leased
    /// after [`notify`](Self::notify), which may wake a thread: not a thing to do under a lock.
    pub fn push_as(&self, number: u64, record: R) -> bool {
        let bytes = record.len();
        let mut state = lock(&self.state);
        let phase = state.phase;
        let room = match phase {
            Phase::Open => {
                let room = state.make_room(&self.limits, bytes);
                room.ok_or(Reason::QueueFull)
            }
            Phase::Closed | Phase::Kept => Err(Reason::Shutdown),
            Phase::Abandoned(reason) => Err(reason),
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
        // Under the lock: nobody may settle what is not accepted yet.
        self.ledger.accept(bytes);
        state.insert_new(number, record);
        drop(state);
        self.lose(&victims, Reason::QueueFull);
        true
    }

    /// Wakes the one who leases.
    pub fn notify(&self) {
        self.changed.notify_one();
    }

    /// Whether an empty queue would take a record of so many bytes.
    pub fn can_hold(&self, bytes: u64) -> bool {
        bytes <= self.limits.bytes
    }

    /// Whether a record of so many bytes would be taken without a loss. Others may be faster.
    pub fn has_room(&self, bytes: u64) -> bool {
        let state = lock(&self.state);
        matches!(state.phase, Phase::Open) && state.has_room(&self.limits, bytes)
    }

    /// Adds what an earlier process left behind, as backlog that lies elsewhere.
    pub fn recover(&self, number: u64, record: R) {
        let mut state = lock(&self.state);
        self.ledger.accept(record.len());
        state.held_from = state.held_from.max(number.saturating_add(1));
        state.insert_new(number, record);
        let next = state.next_number;
        state.waiting.fall_behind(next);
        drop(state);
        self.notify();
    }

    /// Leases a record, numbered `from` or higher, of the first kind that there is one of.
    pub fn take(&self, wanted: &[Wanted], from: u64) -> Next<R> {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Kept) {
            return Next::Finished;
        }
        match state.take(wanted, from) {
            Some(taken) => Next::Ready(taken),
            None if state.is_finished() => Next::Finished,
            None => Next::Nothing {
                due: state.waiting.next_due(),
            },
        }
    }

    /// Ends the lease of `taken`.
    pub fn settle(&self, mut taken: Taken<R>, fate: Fate) {
        let (number, bytes) = (taken.number, taken.waiting.record.len());
        let lost = match fate {
            Fate::Sent => None,
            Fate::Lost(reason) => Some(reason),
            Fate::Released | Fate::Retried { .. } => {
                let mut state = lock(&self.state);
                let lost = state.lost_on_return(number);
                if lost.is_none() {
                    if let Fate::Retried { at, history } = fate {
                        taken.waiting.due = Some(at);
                        taken.waiting.history = history;
                    } else {
                        taken.waiting.due = None;
                    }
                    state.leased.remove(&number);
                    state.waiting.insert(number, taken.waiting);
                    drop(state);
                    self.notify();
                    return;
                }
                lost
            }
        };
        // It counts as leased until everybody knows: nobody may call the queue finished before.
        taken.waiting.record.settled(lost);
        match lost {
            None => self.ledger.sent(bytes),
            Some(reason) => self.ledger.lose(bytes, reason),
        }
        let mut state = lock(&self.state);
        state.leased.remove(&number);
        state.release(number, bytes);
        let finished = state.is_finished();
        drop(state);
        // There is nothing more to lease, so that only the end is news.
        if finished {
            self.notify();
        }
    }

    /// Undoes the taking of `taken`: as if it had never been leased.
    pub fn put_back(&self, taken: Taken<R>) {
        let fate = match taken.waiting.due {
            None => Fate::Released,
            Some(at) => Fate::Retried {
                at,
                history: taken.waiting.history,
            },
        };
        self.settle(taken, fate);
    }

    /// All that is pending is backlog from now on.
    pub fn fall_behind(&self) {
        let mut state = lock(&self.state);
        let next = state.next_number;
        state.waiting.fall_behind(next);
        drop(state);
        self.notify();
    }

    /// Loses what was received before then. Records lie in the order in which they came in whole,
    /// which is nearly that of their receipt: one that is out of order is found when it comes first.
    pub fn expire(&self, received_before: SystemTime) {
        self.lose_while(Reason::Expired, |_, record| {
            record.received() < received_before
        });
    }

    /// Loses what is numbered below `number`, for `reason`; what is leased, when it comes back.
    pub fn lose_below(&self, number: u64, reason: Reason) {
        lock(&self.state).floor = Some((number, reason));
        self.lose_while(reason, |oldest, _| oldest < number);
    }

    /// What is numbered below `number` does not count against the limits any more.
    pub fn moved_elsewhere(&self, number: u64) {
        lock(&self.state).move_elsewhere(number);
    }

    /// What is numbered lower lies elsewhere.
    pub fn held_from(&self) -> u64 {
        lock(&self.state).held_from
    }

    /// Loses what waits and counts against the limits.
    pub fn lose_held(&self, reason: Reason) {
        self.lose_each(reason, |state| {
            let held = state.held_from..u64::MAX;
            let next = state.waiting.records(held).next();
            next.map(|(number, _)| number)
        });
    }

    /// No record comes any more.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closed;
        }
        drop(state);
        self.notify();
    }

    /// Loses what is waiting, and what is in flight should it come back.
    pub fn abandon(&self, reason: Reason) {
        lock(&self.state).phase = Phase::Abandoned(reason);
        self.lose_while(reason, |_, _| true);
    }

    /// Loses what waits now, as [`Reason::Admin`]; how much that was.
    pub fn purge(&self) -> Tally {
        let end = lock(&self.state).next_number;
        self.lose_each(Reason::Admin, |state| {
            let next = state.waiting.records(0..end).next();
            next.map(|(number, _)| number)
        })
    }

    /// Nothing is leased any more, and what is pending stays so: another process will deliver it.
    pub fn keep(&self) {
        lock(&self.state).phase = Phase::Kept;
        self.notify();
    }

    /// When the oldest pending record was received.
    pub fn oldest(&self) -> Option<SystemTime> {
        let state = lock(&self.state);
        let waiting = state.waiting.oldest().map(|(_, record)| record.received());
        let leased = state.leased.values().map(|leased| leased.received);
        leased.chain(waiting).min()
    }

    /// The numbers of what is leased.
    pub fn in_flight(&self) -> Vec<u64> {
        lock(&self.state).leased.keys().copied().collect()
    }

    /// Loses the oldest waiting records while `condemned` says so.
    fn lose_while(&self, reason: Reason, condemned: impl Fn(u64, &R) -> bool) {
        self.lose_each(reason, |state| {
            let oldest = state.waiting.oldest();
            let condemned = oldest.filter(|(number, record)| condemned(*number, record));
            condemned.map(|(number, _)| number)
        });
    }

    /// Loses what `next` names, some at a time; how much that was.
    fn lose_each(&self, reason: Reason, next: impl Fn(&State<R>) -> Option<u64>) -> Tally {
        let mut lost = Tally::default();
        loop {
            let mut state = lock(&self.state);
            let mut gone = Vec::new();
            while gone.len() < LOST_AT_ONCE
                && let Some(number) = next(&state)
            {
                gone.extend(state.take_out(number));
            }
            state.leaving += gone.len();
            drop(state);
            self.lose(&gone, reason);
            lock(&self.state).leaving -= gone.len();
            lost.profiles += gone.len() as u64;
            lost.bytes += gone.iter().map(|it| it.record.len()).sum::<u64>();
            if gone.len() < LOST_AT_ONCE {
                break;
            }
        }
        self.notify();
        lost
    }

    fn lose(&self, gone: &[Waiting<R>], reason: Reason) {
        for waiting in gone {
            waiting.record.settled(Some(reason));
            self.ledger.lose(waiting.record.len(), reason);
        }
    }
}

impl<R> fmt::Debug for Queue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<R> Taken<R> {
    /// What is known of earlier tries.
    pub fn history(&self) -> History {
        self.waiting.history
    }
}
