//! One target's queue.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::sync::Notify;

use crate::{Fate, Ledger, Limits, Reason, Record, WhenFull, lock};

#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
    /// One permit for a change; whoever takes it and leaves something to do passes it on.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// Records that nobody has leased, oldest first.
    ready: VecDeque<(u64, Arc<Record>)>,
    /// When the leased records were received, by their number.
    leased: BTreeMap<u64, SystemTime>,
    /// Bytes of bodies, ready and leased.
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
    Ready { number: u64, record: Arc<Record> },
    Nothing,
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
        state.ready.push_back((number, Arc::clone(record)));
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Leases the oldest ready record.
    pub(super) fn take(&self) -> Next {
        let mut state = lock(&self.state);
        let next = match state.ready.pop_front() {
            Some((number, record)) => {
                state.leased.insert(number, record.head().received);
                Next::Ready { number, record }
            }
            None if state.is_finished() => Next::Finished,
            None => Next::Nothing,
        };
        let more = !state.ready.is_empty() || state.is_finished();
        drop(state);
        if more {
            self.changed.notify_one();
        }
        next
    }

    /// Ends the lease of `number`.
    pub(super) fn settle(&self, number: u64, record: Arc<Record>, fate: Fate) {
        let bytes = record.len();
        let mut state = lock(&self.state);
        state.leased.remove(&number);
        match (fate, state.phase) {
            (Fate::Sent, _) => {
                state.bytes -= bytes;
                self.ledger.sent(bytes);
            }
            (Fate::Lost(reason), _) | (Fate::Released, Phase::Abandoned(reason)) => {
                state.bytes -= bytes;
                self.ledger.lose(bytes, reason);
            }
            (Fate::Released, Phase::Open | Phase::Closed) => {
                let place = state.ready.partition_point(|(other, _)| *other < number);
                state.ready.insert(place, (number, record));
            }
        }
        drop(state);
        self.changed.notify_one();
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

    /// Loses what is ready, and what is in flight should it be released.
    pub(super) fn abandon(&self, reason: Reason) {
        let mut state = lock(&self.state);
        state.phase = Phase::Abandoned(reason);
        for (_, record) in std::mem::take(&mut state.ready) {
            state.bytes -= record.len();
            self.ledger.lose(record.len(), reason);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// When the oldest pending record was received.
    pub(super) fn oldest(&self) -> Option<SystemTime> {
        let state = lock(&self.state);
        let ready = state
            .ready
            .front()
            .map(|(_, record)| record.head().received);
        state.leased.values().copied().chain(ready).min()
    }

    /// Drops the oldest ready records if the policy says so and that is enough; whether `bytes`
    /// fit now.
    fn make_room(&self, state: &mut State, bytes: u64) -> bool {
        let fits = |records: usize, held: u64| {
            records < self.limits.records && held.saturating_add(bytes) <= self.limits.bytes
        };
        let (mut records, mut held, mut victims) = (state.records(), state.bytes, 0);
        if self.limits.when_full == WhenFull::DropOldest {
            for (_, oldest) in &state.ready {
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
        for (_, victim) in state.ready.drain(..victims) {
            self.ledger.lose(victim.len(), Reason::QueueFull);
        }
        state.bytes = held;
        true
    }
}

impl State {
    fn records(&self) -> usize {
        self.ready.len() + self.leased.len()
    }

    fn is_finished(&self) -> bool {
        !matches!(self.phase, Phase::Open) && self.records() == 0
    }
}
