//! The capture of one request, from its head to the end of its body.

use std::sync::Arc;

use bytes::Bytes;
use pyroscope_wire::name::NameFault;
use pyrotee_queue::{Head, OfferResult, PayloadBuffer, Reason, Record};

use super::recorder::{Recorder, ResponsePolicy};
use super::recordings::{Pushed, Recorded, Waiting};
use super::unchecked::UncheckedRecord;
use super::verdict::{ResponseAction, Verdict};
use crate::metrics::TeeResult;
use pyrotee_dedup::{KeyHasher, RequestKey};

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
    /// The request is a client's retry of a request that was offered.
    Duplicate,
    /// The profile was not recorded, for this reason.
    Dropped(Reason),
    /// Every Pyroscope refuses the profile's name.
    InvalidName(NameFault),
    /// The record must be checked before it is offered.
    Unchecked(UncheckedRecord),
    /// Whether the record is offered depends on the upstream's response.
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
    /// Computes the key that a client's retry of the request would share; `None` if retries of it are not recognised.
    key: Option<Box<KeyHasher>>,
    /// Bytes of the body so far.
    len: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The recording has not waited for its client yet.
    Recording(Recorded),
    /// The recording waits or has waited for its client: it may be lost at any time.
    Waiting(Waiting),
    /// The client was too slow. The loss is counted.
    TooSlow,
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
        if expected.is_some_and(|len| len > recorder.longest_body()) {
            return Self::new(recorder, State::Dropped(Reason::TooLarge));
        }
        let state = match recorder.tee.reserve(cost) {
            Some(reservation) => State::Recording(Recorded {
                head,
                buffer: PayloadBuffer::new(expected),
                reservation,
            }),
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
            key: None,
            len: 0,
            state,
        }
    }

    /// Attaches the verdict, and the key if the request may be a client's retry or may be retried.
    pub(super) fn with_verdict(
        mut self,
        verdict: Option<Arc<Verdict>>,
        key: Option<Box<KeyHasher>>,
    ) -> Self {
        self.verdict = verdict;
        self.key = key;
        self
    }

    /// Notes that the recording waits for its client.
    pub(super) fn wait(&mut self) {
        match std::mem::replace(&mut self.state, State::Ended) {
            // Recording -> Waiting
            State::Recording(recorded) => {
                self.state = State::Waiting(self.recorder.tee.recordings.enter(recorded));
            }
            state => {
                if let State::Waiting(waiting) = &state {
                    waiting.wait();
                }
                self.state = state;
            }
        }
    }

    /// Records a frame of the body.
    pub(super) fn push(&mut self, frame: &Bytes) {
        self.len += frame.len() as u64;
        let is_too_large = self.len > self.recorder.longest_body();
        if is_too_large {
            // A body over the limit is neither teed nor remembered.
            self.key = None;
        }
        if let Some(key) = &mut self.key {
            key.push(frame);
        }
        let lost = if is_too_large {
            Some(State::Dropped(Reason::TooLarge))
        } else {
            self.add(frame)
        };
        if let (Some(lost), State::Recording(_) | State::Waiting(_)) = (lost, &self.state) {
            // Recording | Waiting -> Dropped | TooSlow
            self.end_recording();
            if let State::TooSlow = lost {
                // The loss is counted. A retry of the request is teed like any other request.
                self.key = None;
            }
            self.state = lost;
        }
    }

    /// Adds a frame to the recording; returns the next state if the recording is lost.
    fn add(&mut self, frame: &Bytes) -> Option<State> {
        loop {
            let pushed = match &mut self.state {
                State::Recording(recorded) => match recorded.push(frame) {
                    true => Pushed::Added,
                    false => Pushed::NoRoom,
                },
                State::Waiting(waiting) => waiting.push(frame),
                State::TooSlow | State::Dropped(_) | State::InvalidName(_) | State::Ended => {
                    return None;
                }
            };
            match pushed {
                Pushed::Added => return None,
                Pushed::Lost => return Some(State::TooSlow),
                Pushed::NoRoom if self.recorder.tee.make_room() => {}
                Pushed::NoRoom => return Some(State::Dropped(Reason::Budget)),
            }
        }
    }

    /// Ends the recording and returns it; `None` if the recording was lost.
    fn end_recording(&mut self) -> Option<Recorded> {
        // any -> Ended
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Recording(recorded) => Some(recorded),
            State::Waiting(waiting) => self.recorder.tee.recordings.leave(&waiting),
            State::TooSlow | State::Dropped(_) | State::InvalidName(_) | State::Ended => None,
        }
    }

    /// Ends the capture of a complete body.
    pub(super) fn complete(mut self) -> CaptureEnd {
        let reason = match &self.state {
            State::Recording(_) | State::Waiting(_) => None,
            State::TooSlow => return self.end_too_slow(),
            State::Dropped(reason) => Some(*reason),
            State::InvalidName(fault) => {
                let fault = fault.clone();
                self.state = State::Ended;
                self.recorder.tee.refuse(self.len, Reason::InvalidName);
                return CaptureEnd::InvalidName(fault);
            }
            State::Ended => return CaptureEnd::NotRecorded,
        };
        let recorded = self.end_recording();
        if recorded.is_none() && reason.is_none() {
            return self.end_too_slow();
        }
        let key = self.key.take().map(|key| key.finish());
        // A retry is a duplicate even if it could not be recorded: its profile is not lost.
        if let Some(key) = key
            && self.is_retry(&key)
        {
            self.remember(key);
            self.recorder.tee.refuse(self.len, Reason::Duplicate);
            return CaptureEnd::Duplicate;
        }
        match recorded {
            Some(recorded) => {
                let body = recorded.buffer.finish();
                let record = Record::new(recorded.head, body, recorded.reservation);
                self.hand_over(record, key)
            }
            None => {
                let reason = reason.unwrap_or(Reason::Budget);
                self.recorder.tee.refuse(self.len, reason);
                CaptureEnd::Dropped(reason)
            }
        }
    }

    fn end_too_slow(mut self) -> CaptureEnd {
        self.state = State::Ended;
        CaptureEnd::Dropped(Reason::UploadFailed)
    }

    fn hand_over(&self, record: Arc<Record>, key: Option<RequestKey>) -> CaptureEnd {
        match (&self.recorder.response_policy, &self.verdict) {
            (ResponsePolicy::OfferOnSuccess, Some(verdict)) => {
                verdict.set_body_complete(ResponseAction::Offer(record));
                return CaptureEnd::Deferred;
            }
            (ResponsePolicy::CheckFirst(check), _) => {
                if let Some(check) = check.check(&record) {
                    let unchecked = UncheckedRecord::new(&self.recorder, record, check);
                    return CaptureEnd::Unchecked(unchecked);
                }
            }
            _ => {}
        }
        let offered = self.recorder.tee.offer(&record);
        if let Some(key) = key
            && offered.queued > 0
        {
            self.remember(key);
        }
        CaptureEnd::Offered(offered)
    }

    fn is_retry(&self, key: &RequestKey) -> bool {
        match &self.recorder.response_policy {
            ResponsePolicy::FilterRetries(filter) => filter.is_retry(key),
            _ => false,
        }
    }

    /// Remembers a request that was teed, now or before, until a response to it is a success.
    fn remember(&self, key: RequestKey) {
        if let Some(verdict) = &self.verdict {
            verdict.set_body_complete(ResponseAction::Remember(key));
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // A recording that was too slow is counted already.
        let is_counted = match &self.state {
            State::Ended | State::TooSlow => true,
            State::Waiting(waiting) => self.recorder.tee.recordings.leave(waiting).is_none(),
            State::Recording(_) | State::Dropped(_) | State::InvalidName(_) => false,
        };
        if !is_counted {
            self.recorder.tee.metrics.tee_result(TeeResult::Incomplete);
        }
    }
}
