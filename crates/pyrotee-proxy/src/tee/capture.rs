//! The capture of one request, from its head to the end of its body.

use std::sync::Arc;

use bytes::Bytes;
use pyroscope_wire::name::NameFault;
use pyrotee_queue::{Head, OfferResult, PayloadBuffer, Reason, Record, Reservation};

use super::recorder::{Recorder, ResponsePolicy};
use super::unchecked::UncheckedRecord;
use super::verdict::{ResponseAction, Verdict};
use crate::dedup::{Attempt, AttemptOwner as _, Digesting, RequestKey};
use crate::metrics::TeeResult;

/// How the capture of a request ended, or why there was none.
#[must_use]
#[derive(Debug)]
pub(crate) enum CaptureEnd {
    /// The request is no ingestion, or nothing is teed.
    NotRecorded,
    /// The request has passed more relays than [`super::MAX_HOPS`].
    Loop,
    /// Pyroscope does not accept this `Content-Type` on this surface, such as gRPC-Web.
    NotUnderstood,
    /// The record was offered to the targets.
    Offered(OfferResult),
    /// The request is a client's retry of one that was offered.
    Duplicate,
    /// The profile was not recorded, for this reason.
    Dropped(Reason),
    /// Every Pyroscope refuses the profile's name.
    InvalidName(NameFault),
    /// The record must be checked before it is offered.
    Unchecked(UncheckedRecord),
    /// Whether the record is offered depends on the upstream's response, or on the digest of an earlier
    /// request.
    Deferred,
    /// The body did not arrive completely.
    Incomplete,
}

/// The capture of a request that is in progress.
#[derive(Debug)]
pub(crate) struct Capture {
    recorder: Arc<Recorder>,
    /// The verdict on the request; `None` if the upstream's response is ignored.
    verdict: Option<Arc<Verdict>>,
    /// The digest of the body; `None` if the request cannot be a client's retry.
    digesting: Option<Box<Digesting>>,
    /// Bytes of the body so far.
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
    /// Only the length is counted.
    Dropped(Reason),
    /// Only the length is counted.
    InvalidName(NameFault),
    Ended,
}

impl Capture {
    /// Starts to record a request whose client announced `expected` bytes of body; `None` if the length
    /// was not announced.
    pub(super) fn start(recorder: &Arc<Recorder>, head: Head, expected: Option<u64>) -> Self {
        let cost = Record::OVERHEAD + head.len() as u64;
        let state = match recorder.budget.reserve(cost) {
            _ if expected.is_some_and(|len| len > recorder.max_body) => {
                State::Dropped(Reason::TooLarge)
            }
            Some(reservation) => State::Recording {
                head,
                buffer: PayloadBuffer::new(expected),
                reservation,
            },
            None => State::Dropped(Reason::Budget),
        };
        Self::new(recorder, state)
    }

    /// A capture that counts the bytes of a request with an invalid name.
    pub(super) fn with_invalid_name(recorder: &Arc<Recorder>, fault: NameFault) -> Self {
        Self::new(recorder, State::InvalidName(fault))
    }

    fn new(recorder: &Arc<Recorder>, state: State) -> Self {
        Self {
            recorder: Arc::clone(recorder),
            verdict: None,
            digesting: None,
            len: 0,
            state,
        }
    }

    /// Attaches the verdict, and the digest if this may be a client's retry.
    pub(super) fn with_verdict(
        mut self,
        verdict: Option<Arc<Verdict>>,
        digesting: Option<Box<Digesting>>,
    ) -> Self {
        self.verdict = verdict;
        self.digesting = digesting;
        self
    }

    /// Records a frame of the body.
    pub(super) fn push(&mut self, frame: &Bytes) {
        self.len += frame.len() as u64;
        if self.len > self.recorder.max_body {
            // A body over the limit is neither teed nor remembered.
            self.digesting = None;
        }
        if let Some(digesting) = &mut self.digesting {
            digesting.push(frame);
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
            // Recording -> Dropped
            self.state = State::Dropped(Reason::TooLarge);
        } else if reservation.grow(frame.len() as u64) {
            buffer.push(frame);
        } else {
            // Recording -> Dropped
            self.state = State::Dropped(Reason::Budget);
        }
    }

    /// Ends the capture of a complete body.
    pub(super) fn complete(mut self) -> CaptureEnd {
        let Some(digesting) = self.digesting.take() else {
            return self.end(None);
        };
        let (key, generation) = digesting.finish(self.len);
        if let ResponsePolicy::FilterRetries(filter) = &self.recorder.response_policy
            && filter.is_undecided(&key, generation)
        {
            let filter = Arc::clone(filter);
            filter.when_decided(key, generation, move || drop(self.end(Some(key))));
            return CaptureEnd::Deferred;
        }
        self.end(Some(key))
    }

    fn end(mut self, key: Option<RequestKey>) -> CaptureEnd {
        // any -> Ended
        let state = std::mem::replace(&mut self.state, State::Ended);
        if let Some(key) = &key
            && self.check_duplicate(key)
        {
            self.recorder.refuse(self.len, Reason::Duplicate);
            return CaptureEnd::Duplicate;
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
            State::Dropped(reason) => {
                self.recorder.refuse(self.len, reason);
                // Room for a body larger than the whole budget will never be free.
                let is_too_large = self.len > self.recorder.budget.limit();
                CaptureEnd::Dropped(if is_too_large {
                    Reason::TooLarge
                } else {
                    reason
                })
            }
            State::InvalidName(fault) => {
                self.recorder.refuse(self.len, Reason::InvalidName);
                CaptureEnd::InvalidName(fault)
            }
            State::Ended => CaptureEnd::NotRecorded,
        }
    }

    /// Returns whether this request is a retry of one that was teed; if so, its attempt is given to the
    /// verdict. A retry is a duplicate even if it could not be recorded: its profile is not lost.
    fn check_duplicate(&self, key: &RequestKey) -> bool {
        match (&self.recorder.response_policy, &self.verdict) {
            (ResponsePolicy::FilterRetries(filter), Some(verdict)) if filter.is_retry(key) => {
                verdict.attempt_made(Attempt::Digested(*key));
                true
            }
            _ => false,
        }
    }

    fn hand_over(&self, record: Arc<Record>, key: Option<RequestKey>) -> CaptureEnd {
        match (&self.recorder.response_policy, &self.verdict) {
            (ResponsePolicy::OfferOnSuccess, Some(verdict)) => {
                verdict.set_body_complete(ResponseAction::Offer(record));
                CaptureEnd::Deferred
            }
            (ResponsePolicy::FilterRetries(filter), Some(verdict)) => {
                let offered = self.recorder.offer(&record);
                if offered.queued > 0 {
                    filter.record_taken(verdict, record, key);
                }
                CaptureEnd::Offered(offered)
            }
            (ResponsePolicy::CheckFirst(check), _) => match check.check(&record) {
                Some(check) => {
                    CaptureEnd::Unchecked(UncheckedRecord::new(&self.recorder, record, check))
                }
                None => CaptureEnd::Offered(self.recorder.offer(&record)),
            },
            _ => CaptureEnd::Offered(self.recorder.offer(&record)),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if !matches!(self.state, State::Ended) {
            self.recorder.metrics.tee_result(TeeResult::Incomplete);
        }
    }
}
