//! The records that this relay has received from a target's stream and not settled: buffered, or leased.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_nats::Subject;
use async_nats::jetstream::AckKind;
use bytes::Bytes;
use pyrotee_queue::{Lane, LeaseFilter, Record, RetryHistory, Surfaces, lock};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::final_answers::FinalAnswers;
use crate::histories::{GivenBack, Histories};
use crate::message_key::MessageKey;

/// Most received records that wait to be leased. Few, because they are not in the stream for other relays.
pub(crate) const MOST_BUFFERED: usize = 8;

/// The received records of one target, and the answers that the broker is to get.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    state: Mutex<State>,
    /// Length of the buffer, for leases, which take no second lock while nothing is buffered.
    buffered: AtomicUsize,
    /// The surfaces of whose backlog the deliverer asks for a record and finds none in memory.
    wanted: AtomicU64,
    /// The receiver waits for a change of `wanted`.
    is_asleep: AtomicBool,
    /// Wakes the receiver.
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Records are received. Otherwise a record that is not settled goes back to the stream.
    is_open: bool,
    /// In the order in which they are leased.
    buffer: VecDeque<Received>,
    leased: BTreeMap<MessageKey, Leased>,
    histories: Histories,
    final_answers: FinalAnswers,
    answers: Vec<Answer>,
}

/// A record that was received from a stream.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) record: Arc<Record>,
    pub(crate) history: RetryHistory,
    /// Its message in the stream.
    pub(crate) key: MessageKey,
    /// Where the broker waits for the answer.
    pub(crate) reply: Subject,
    /// When the deliverer last asked for such records.
    pub(crate) wanted_at: Instant,
}

/// What is known of a record while it is leased.
#[derive(Debug)]
struct Leased {
    reply: Subject,
    received: SystemTime,
}

/// An answer to the broker about one message.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Subject,
    pub(crate) content: Bytes,
}

impl Answer {
    fn new(reply: Subject, kind: AckKind) -> Self {
        let content = kind.into();
        Self { reply, content }
    }
}

impl State {
    fn answer(&mut self, key: MessageKey, reply: Subject, kind: AckKind) {
        self.final_answers.keep(key, kind);
        self.answers.push(Answer::new(reply, kind));
    }
}

impl Received {
    pub(crate) fn lane(&self) -> Lane {
        match self.history.failures {
            0 => Lane::Backlog,
            _ => Lane::Failed,
        }
    }

    fn passes(&self, filter: &LeaseFilter) -> bool {
        !filter.deferred
            && filter.lane == self.lane()
            && filter.surfaces.contains(self.record.head().surface)
    }
}

impl Shelf {
    pub(crate) fn has_buffered(&self) -> bool {
        self.buffered.load(Relaxed) > 0
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffered.load(Relaxed)
    }

    pub(crate) fn leased(&self) -> usize {
        lock(&self.state).leased.len()
    }

    /// Whether no received record is unsettled.
    pub(crate) fn is_empty(&self) -> bool {
        let state = lock(&self.state);
        state.buffer.is_empty() && state.leased.is_empty()
    }

    /// The number of received records whose messages have sequences below `below`.
    pub(crate) fn held_below(&self, below: u64) -> u64 {
        let (state, below) = (lock(&self.state), MessageKey::least(below));
        let buffered = state.buffer.iter().filter(|it| it.key < below).count();
        (buffered + state.leased.range(..below).count()) as u64
    }

    /// When the oldest of the received records was received by its captor. `None`: there is none.
    pub(crate) fn oldest(&self) -> Option<SystemTime> {
        let state = lock(&self.state);
        let buffered = state.buffer.iter().map(|it| it.record.head().received);
        let leased = state.leased.values().map(|it| it.received);
        buffered.chain(leased).min()
    }

    /// Notes the surfaces whose backlog the deliverer asks for, so that the receiver asks the broker for records of them.
    pub(crate) fn want(&self, surfaces: Surfaces) {
        let bits = surfaces.bits();
        if self.wanted.load(Relaxed) != bits {
            self.wanted.store(bits, Relaxed);
            if bits != 0 && self.is_asleep.swap(false, Relaxed) {
                self.wake.notify_one();
            }
        }
    }

    /// The surfaces that the deliverer asks for, as bits.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted.load(Relaxed)
    }

    /// Wakes the receiver at the next change of the surfaces that are asked for.
    pub(crate) fn sleep(&self) {
        self.is_asleep.store(true, Relaxed);
    }

    /// The first of `filters` that a buffered record passes.
    pub(crate) fn first_match(&self, filters: &[LeaseFilter]) -> Option<usize> {
        let state = lock(&self.state);
        let passes = |filter| state.buffer.iter().any(|it| it.passes(filter));
        filters.iter().position(passes)
    }

    /// Takes out the first buffered record that passes `filter`. It counts as leased.
    pub(crate) fn lease(&self, filter: &LeaseFilter) -> Option<Received> {
        let mut state = lock(&self.state);
        let index = state.buffer.iter().position(|it| it.passes(filter))?;
        let received = state.buffer.remove(index)?;
        let leased = Leased {
            reply: received.reply.clone(),
            received: received.record.head().received,
        };
        state.leased.insert(received.key, leased);
        self.count(&state);
        drop(state);
        self.wake.notify_one();
        Some(received)
    }

    /// Ends the lease of a record that is not pending here any more. `given_back`: the history for the next lease, if the
    /// record goes back to the stream and this relay gets it again.
    pub(crate) fn settle(&self, key: MessageKey, kind: AckKind, given_back: Option<GivenBack>) {
        let mut state = lock(&self.state);
        match given_back {
            Some(it) => state.histories.keep(key, it.history, it.due),
            None => state.histories.forget(key),
        }
        if let Some(leased) = state.leased.remove(&key) {
            state.answer(key, leased.reply, kind);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Puts a leased record back to the front of the buffer. `false`: no record is received any more, and the record is
    /// still leased.
    pub(crate) fn release(&self, mut received: Received) -> bool {
        let mut state = lock(&self.state);
        if !state.is_open {
            return false;
        }
        if let Some(leased) = state.leased.remove(&received.key) {
            received.reply = leased.reply;
        }
        received.wanted_at = Instant::now();
        state.buffer.push_front(received);
        self.count(&state);
        true
    }

    /// Buffers a record. `Err`: no record is received any more.
    pub(crate) fn add(&self, received: Received) -> Result<(), Received> {
        let mut state = lock(&self.state);
        if !state.is_open {
            return Err(received);
        }
        state.buffer.push_back(received);
        self.count(&state);
        Ok(())
    }

    /// Whether a record is buffered or leased here. Its message was delivered again, and `reply` is where the broker waits
    /// for the answer now.
    pub(crate) fn renew(&self, key: MessageKey, reply: &Subject) -> bool {
        let mut state = lock(&self.state);
        if let Some(leased) = state.leased.get_mut(&key) {
            leased.reply = reply.clone();
            return true;
        }
        let mut buffer = state.buffer.iter_mut();
        let buffered = buffer.find(|it| it.key == key);
        let is_held = buffered.is_some();
        if let Some(received) = buffered {
            received.reply = reply.clone();
        }
        is_held
    }

    pub(crate) fn given_back(&self, key: MessageKey) -> Option<GivenBack> {
        lock(&self.state).histories.get(key)
    }

    /// The final answer that the broker got about a message, and has forgotten if the message arrives again. `None`: there
    /// was none.
    pub(crate) fn final_answer(&self, key: MessageKey) -> Option<AckKind> {
        lock(&self.state).final_answers.get(key)
    }

    /// Receives records from now on.
    pub(crate) fn open(&self) {
        lock(&self.state).is_open = true;
        self.wake.notify_one();
    }

    /// Receives no more records.
    pub(crate) fn close(&self) {
        lock(&self.state).is_open = false;
        self.wake.notify_one();
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.state).is_open
    }

    /// Takes out the buffered records that `is_taken` selects, with the answer that the broker gets, and returns them for
    /// the caller to count.
    pub(crate) fn take_out(
        &self,
        kind: AckKind,
        mut is_taken: impl FnMut(&Received) -> bool,
    ) -> Vec<Received> {
        if !self.has_buffered() {
            return Vec::new();
        }
        let mut state = lock(&self.state);
        let mut taken = Vec::new();
        for received in std::mem::take(&mut state.buffer) {
            if is_taken(&received) {
                taken.push(received);
            } else {
                state.buffer.push_back(received);
            }
        }
        if taken.is_empty() {
            return taken;
        }
        for received in &taken {
            state.answer(received.key, received.reply.clone(), kind);
        }
        self.count(&state);
        drop(state);
        self.wake.notify_one();
        taken
    }

    /// Takes out the records that nobody wants: not asked for since `patience`, or since `when_full` while they fill the
    /// buffer and others are asked for.
    pub(crate) fn unwanted(&self, patience: Duration, when_full: Duration) -> Vec<Received> {
        if !self.has_buffered() {
            return Vec::new();
        }
        let (now, wanted) = (Instant::now(), self.wanted());
        let mut state = lock(&self.state);
        for received in &mut state.buffer {
            let surface = Surfaces::NONE.with(received.record.head().surface);
            if wanted & surface.bits() != 0 {
                received.wanted_at = now;
            }
        }
        let is_in_the_way = wanted != 0 && state.buffer.len() >= MOST_BUFFERED;
        drop(state);
        let patience = if is_in_the_way { when_full } else { patience };
        self.take_out(AckKind::Nak(None), |it| it.wanted_at + patience <= now)
    }

    pub(crate) fn answer(&self, key: MessageKey, reply: Subject, kind: AckKind) {
        lock(&self.state).answer(key, reply, kind);
    }

    /// Takes out the answers that the broker is to get.
    pub(crate) fn take_answers(&self) -> Vec<Answer> {
        std::mem::take(&mut lock(&self.state).answers)
    }

    pub(crate) fn has_answers(&self) -> bool {
        !lock(&self.state).answers.is_empty()
    }

    /// Puts answers back that could not be sent.
    pub(crate) fn keep_answers(&self, mut unsent: Vec<Answer>) {
        let mut state = lock(&self.state);
        unsent.append(&mut state.answers);
        state.answers = unsent;
    }

    /// Answers that keep all received records from being delivered again.
    pub(crate) fn progress(&self) -> Vec<Answer> {
        let state = lock(&self.state);
        let buffered = state.buffer.iter().map(|it| &it.reply);
        let replies = buffered.chain(state.leased.values().map(|it| &it.reply));
        let answers = replies.map(|reply| Answer::new(reply.clone(), AckKind::Progress));
        answers.collect()
    }

    fn count(&self, state: &State) {
        self.buffered.store(state.buffer.len(), Relaxed);
    }
}
