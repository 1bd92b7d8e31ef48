//! One target's queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::waiting::{Taken, Waiting, WaitingRoom};
use crate::{Fate, History, Ledger, Limits, Reason, Record, Wanted, WhenFull, lock};

#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
    /// One permit for a change, for the one who leases.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Records that nobody has leased.
    waiting: WaitingRoom,
    /// When the leased records were received, by their number.
    leased: BTreeMap<u64, SystemTime>,
    /// Bytes of bodies, waiting and leased.
    bytes: u64,
    next_number: u64,
}

#[derive(Debug, Default, Clone, Copy)]
enum Phase {
    #[default]
    Open,
    /// The producer is gone: what is pending is still delivered.
    Closed,
    /// Nothing is delivered any more but what is in flight.
    Abandoned(Reason),
}

pub(super) enum Next {
    Ready(Taken),
    /// Nothing that is wanted; the next deferred record is due then.
    Nothing {
        due: Option<Instant>,
    },
    Finished,
}

impl Queue {
    pub(super) fn new(limits: Limits, ledger: Arc<Ledger>) -> Self {
        Self {
            limits,
            ledger,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Waits until something may have changed since the last [`Queue::take`].
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether the record was taken. Either way the ledger knows.
    pub(super) fn push(&self, record: &Arc<Record>) -> bool {
        let bytes = record.len();
        let mut state = lock(&self.state);
        let phase = state.phase;
        let refusal = match phase {
            Phase::Open if self.make_room(&mut state, bytes) => None,
            Phase::Open => Some(Reason::QueueFull),
            Phase::Closed => Some(Reason::Shutdown),
            Phase::Abandoned(reason) => Some(reason),
        };
        if let Some(reason) = refusal {
            self.ledger.refuse(bytes, reason);
            return false;
        }
        // Under the lock: nobody may settle what is not accepted yet.
        self.ledger.accept(bytes);
        let number = state.next_number;
        state.next_number += 1;
        state.bytes += bytes;
        let waiting = Waiting {
            record: Arc::clone(record),
            offered: Instant::now(),
            history: History::default(),
            due: None,
        };
        state.waiting.insert(number, waiting);
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Leases a record of the first kind that there is one of.
    pub(super) fn take(&self, wanted: &[Wanted]) -> Next {
        let mut state = lock(&self.state);
        let State {
            waiting, leased, ..
        } = &mut *state;
        match waiting.take(wanted, Instant::now()) {
            Some(taken) => {
                leased.insert(taken.number, taken.waiting.record.head().received);
                Next::Ready(taken)
            }
            None if state.is_finished() => Next::Finished,
            None => Next::Nothing {
                due: state.waiting.next_due(),
            },
        }
    }

    /// Ends the lease of `taken`.
    pub(super) fn settle(&self, mut taken: Taken, fate: Fate) {
        let bytes = taken.waiting.record.len();
        let mut state = lock(&self.state);
        state.leased.remove(&taken.number);
        match (fate, state.phase) {
            (Fate::Sent, _) => {
                state.bytes -= bytes;
                self.ledger.sent(bytes);
            }
            (Fate::Lost(reason), _)
            | (Fate::Released | Fate::Retried { .. }, Phase::Abandoned(reason)) => {
                state.bytes -= bytes;
                self.ledger.lose(bytes, reason);
            }
            (Fate::Released, Phase::Open | Phase::Closed) => {
                taken.waiting.due = None;
                state.waiting.insert(taken.number, taken.waiting);
            }
            (Fate::Retried { at, history }, Phase::Open | Phase::Closed) => {
                taken.waiting.due = Some(at);
                taken.waiting.history = history;
                state.waiting.insert(taken.number, taken.waiting);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// All that is pending is backlog from now on.
    pub(super) fn fall_behind(&self) {
        let mut state = lock(&self.state);
        let next = state.next_number;
        state.waiting.fall_behind(next);
        drop(state);
        self.changed.notify_one();
    }

    /// Loses what was received before then. Records lie in the order in which they came in whole,
    /// which is nearly that of their receipt: one that is out of order is found when it comes first.
    pub(super) fn expire(&self, received_before: SystemTime) {
        let mut state = lock(&self.state);
        let mut lost = false;
        while let Some(oldest) = state.waiting.oldest()
            && oldest.head().received < received_before
            && let Some(record) = state.waiting.take_oldest()
        {
            state.bytes -= record.len();
            self.ledger.lose(record.len(), Reason::Expired);
            lost = true;
        }
        drop(state);
        if lost {
            self.changed.notify_one();
        }
    }

    /// No record comes any more.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closed;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Loses what is waiting, and what is in flight should it come back.
    pub(super) fn abandon(&self, reason: Reason) {
        let mut state = lock(&self.state);
        state.phase = Phase::Abandoned(reason);
        while let Some(record) = state.waiting.take_oldest() {
            state.bytes -= record.len();
            self.ledger.lose(record.len(), reason);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// When the oldest pending record was received.
    pub(super) fn oldest(&self) -> Option<SystemTime> {
        let state = lock(&self.state);
        let waiting = state.waiting.oldest().map(|record| record.head().received);
        state.leased.values().copied().chain(waiting).min()
    }

    /// Drops the oldest waiting records if the policy says so and that is enough; whether `bytes`
    /// fit now.
    fn make_room(&self, state: &mut State, bytes: u64) -> bool {
        let fits = |records: usize, held: u64| {
            records < self.limits.records && held.saturating_add(bytes) <= self.limits.bytes
        };
        let (mut records, mut held, mut victims) = (state.records(), state.bytes, 0);
        if self.limits.when_full == WhenFull::DropOldest {
            for oldest in state.waiting.records() {
                if fits(records, held) {
                    break;
                }
                records -= 1;
                held -= oldest.len();
                victims += 1;
            }
        }
        if !fits(records, held) {
            return false;
        }
        for _ in 0..victims {
            if let Some(victim) = state.waiting.take_oldest() {
                self.ledger.lose(victim.len(), Reason::QueueFull);
            }
        }
        state.bytes = held;
        true
    }
}

impl State {
    fn records(&self) -> usize {
        self.waiting.len() + self.leased.len()
    }

    fn is_finished(&self) -> bool {
        !matches!(self.phase, Phase::Open) && self.records() == 0
    }
}
