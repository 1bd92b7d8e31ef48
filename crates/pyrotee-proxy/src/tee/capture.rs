//! One recording, from the head of a request to what became of it.

use std::sync::Arc;

use bytes::Bytes;
use pyroscope_wire::name::NameFault;
use pyrotee_queue::{Head, OfferResult, PayloadBuffer, Reason, Record, Reservation};

use super::recorder::{Recorder, Stake};
use super::repeats::{Key, Suspicion, Try};
use super::verdict::{Pending, Verdict};
use crate::metrics::TeeResult;

/// What became of a request that passed the tee.
#[must_use]
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing was to be recorded.
    Passed,
    /// It has come round a ring of relays.
    Loop,
    /// It is written in a way that Pyroscope does not take here, such as gRPC-web.
    NotUnderstood,
    /// The profile was offered to the targets.
    Offered(OfferResult),
    /// Its client has sent it before, and then it was offered.
    Repeated,
    /// The profile could not be recorded.
    Lost(Reason),
    /// Its name is one that every Pyroscope refuses.
    InvalidName(NameFault),
    /// It waits for the upstream's answer, or for what is made of a request before it.
    Undecided,
    /// The body did not arrive whole.
    Incomplete,
}

/// A recording under way.
#[derive(Debug)]
pub(crate) struct Capture {
    recorder: Arc<Recorder>,
    /// What the upstream's answer is told to, if something hangs on it.
    verdict: Option<Arc<Verdict>>,
    suspicion: Option<Box<Suspicion>>,
    len: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Recording {
        head: Head,
        buffer: PayloadBuffer,
        reservation: Reservation,
    },
    /// Only the length is still counted.
    Lost(Reason),
    Unnamed(NameFault),
    Done,
}

impl Capture {
    /// Starts to record a request whose client announced `expected` bytes of body.
    pub(super) fn start(recorder: &Arc<Recorder>, head: Head, expected: Option<u64>) -> Self {
        let cost = Record::OVERHEAD + head.len() as u64;
        let state = match recorder.budget.reserve(cost) {
            _ if expected.is_some_and(|len| len > recorder.max_body) => {
                State::Lost(Reason::TooLarge)
            }
            Some(reservation) => State::Recording {
                head,
                buffer: PayloadBuffer::new(expected),
                reservation,
            },
            None => State::Lost(Reason::Budget),
        };
        Self::new(recorder, state)
    }

    /// Only measures a request whose name nobody can tag.
    pub(super) fn unnamed(recorder: &Arc<Recorder>, fault: NameFault) -> Self {
        Self::new(recorder, State::Unnamed(fault))
    }

    fn new(recorder: &Arc<Recorder>, state: State) -> Self {
        Self {
            recorder: Arc::clone(recorder),
            verdict: None,
            suspicion: None,
            len: 0,
            state,
        }
    }

    /// The same, with what hangs on the upstream's answer, and on what was answered before.
    pub(super) fn awaiting(
        mut self,
        verdict: Option<Arc<Verdict>>,
        suspicion: Option<Box<Suspicion>>,
    ) -> Self {
        self.verdict = verdict;
        self.suspicion = suspicion;
        self
    }

    /// A frame passes.
    pub(super) fn push(&mut self, frame: &Bytes) {
        self.len += frame.len() as u64;
        if self.len > self.recorder.max_body {
            // Not remembered either.
            self.suspicion = None;
        }
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.push(frame);
        }
        let State::Recording {
            buffer,
            reservation,
            ..
        } = &mut self.state
        else {
            return;
        };
        if self.len > self.recorder.max_body {
            // Recording -> Lost
            self.state = State::Lost(Reason::TooLarge);
        } else if reservation.grow(frame.len() as u64) {
            buffer.push(frame);
        } else {
            // Recording -> Lost
            self.state = State::Lost(Reason::Budget);
        }
    }

    /// The body is whole.
    pub(super) fn complete(mut self) -> Outcome {
        let Some(suspicion) = self.suspicion.take() else {
            return self.end(None);
        };
        let (key, turn) = suspicion.finish(self.len);
        if let Stake::Repeats(repeats) = &self.recorder.stake
            && repeats.must_wait(&key, turn)
        {
            let repeats = Arc::clone(repeats);
            repeats.once_known(key, turn, move || drop(self.end(Some(key))));
            return Outcome::Undecided;
        }
        self.end(Some(key))
    }

    fn end(mut self, key: Option<Key>) -> Outcome {
        // any -> Done
        let state = std::mem::replace(&mut self.state, State::Done);
        if let Some(key) = &key
            && self.repeats(key)
        {
            self.refuse(Reason::Duplicate);
            return Outcome::Repeated;
        }
        match state {
            State::Recording {
                head,
                buffer,
                reservation,
            } => {
                let record = Record::new(head, buffer.finish(), reservation);
                self.hand_over(record, key)
            }
            State::Lost(reason) => {
                self.refuse(reason);
                Outcome::Lost(reason)
            }
            State::Unnamed(fault) => {
                self.refuse(Reason::InvalidName);
                Outcome::InvalidName(fault)
            }
            State::Done => Outcome::Passed,
        }
    }

    /// Whether this was teed before. A lost recording is no loss then.
    fn repeats(&self, key: &Key) -> bool {
        match (&self.recorder.stake, &self.verdict) {
            (Stake::Repeats(repeats), Some(verdict)) if repeats.knows(key) => {
                verdict.whole(Pending::Try(Try::Digested(*key)));
                true
            }
            _ => false,
        }
    }

    fn hand_over(&self, record: Arc<Record>, key: Option<Key>) -> Outcome {
        match (&self.recorder.stake, &self.verdict) {
            (Stake::Offer, Some(verdict)) => {
                verdict.whole(Pending::Offer(record));
                Outcome::Undecided
            }
            (Stake::Repeats(repeats), Some(verdict)) => {
                let offered = self.recorder.offer(&record);
                if offered.queued > 0 {
                    repeats.teed(verdict, record, key);
                }
                Outcome::Offered(offered)
            }
            _ => Outcome::Offered(self.recorder.offer(&record)),
        }
    }

    fn refuse(&self, reason: Reason) {
        self.recorder.producer.refuse(self.len, reason);
        self.recorder.metrics.teed(match reason {
            Reason::TooLarge => TeeResult::TooLarge,
            Reason::InvalidName => TeeResult::InvalidName,
            Reason::Duplicate => TeeResult::Duplicate,
            _ => TeeResult::MemoryBudget,
        });
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if !matches!(self.state, State::Done) {
            self.recorder.metrics.teed(TeeResult::Incomplete);
        }
    }
}
