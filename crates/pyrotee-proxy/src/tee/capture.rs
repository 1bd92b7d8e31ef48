//! One recording, from the head of a request to what became of it.

use std::sync::Arc;

use bytes::Bytes;
use pyroscope_wire::name::NameFault;
use pyrotee_queue::{Head, Offered, PayloadBuffer, Reason, Record, Reservation};

use super::recorder::Recorder;
use super::verdict::Verdict;
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
    Offered(Offered),
    /// The profile could not be recorded.
    Lost(Reason),
    /// Its name is one that every Pyroscope refuses.
    InvalidName(NameFault),
    /// It waits for the upstream's answer.
    Undecided,
    /// The body did not arrive whole.
    Incomplete,
}

/// A recording under way.
#[derive(Debug)]
pub(crate) struct Capture {
    recorder: Arc<Recorder>,
    verdict: Option<Arc<Verdict>>,
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
    pub(super) fn start(
        recorder: &Arc<Recorder>,
        verdict: Option<Arc<Verdict>>,
        head: Head,
        expected: Option<u64>,
    ) -> Self {
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
        Self {
            recorder: Arc::clone(recorder),
            verdict,
            len: 0,
            state,
        }
    }

    /// Only measures a request whose name nobody can tag.
    pub(super) fn unnamed(recorder: &Arc<Recorder>, fault: NameFault) -> Self {
        let state = State::Unnamed(fault);
        Self {
            recorder: Arc::clone(recorder),
            verdict: None,
            len: 0,
            state,
        }
    }

    /// A frame passes.
    pub(super) fn push(&mut self, frame: &Bytes) {
        self.len += frame.len() as u64;
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
        // any -> Done
        match std::mem::replace(&mut self.state, State::Done) {
            State::Recording {
                head,
                buffer,
                reservation,
            } => {
                let record = Record::new(head, buffer.finish(), reservation);
                match &self.verdict {
                    None => Outcome::Offered(self.recorder.offer(&record)),
                    Some(verdict) => {
                        verdict.recorded(&self.recorder, record);
                        Outcome::Undecided
                    }
                }
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

    fn refuse(&self, reason: Reason) {
        self.recorder.producer.refuse(self.len, reason);
        self.recorder.metrics.teed(match reason {
            Reason::TooLarge => TeeResult::TooLarge,
            Reason::InvalidName => TeeResult::InvalidName,
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
