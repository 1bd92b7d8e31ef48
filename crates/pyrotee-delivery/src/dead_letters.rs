//! Passes records that a target refused, or that pyrotee cannot send, on to the dead letters.

use std::fmt;
use std::sync::Arc;

use pyrotee_queue::{Reason, Record};

/// A record that a deliverer drops, or that the target took only in part, with the target's last response.
#[derive(Debug)]
pub struct DeadLetter<'a> {
    /// The name of the target.
    pub target: &'a str,
    /// The record as it was captured.
    pub record: &'a Arc<Record>,
    /// Why the record becomes a dead letter.
    pub reason: DeadLetterReason,
    /// Failed uploads that count against the record, the last one included.
    pub tries: u32,
    /// Status of the last response; `None` if there was none.
    pub status: Option<u16>,
    /// Body of the last response or the error: one line of at most 2 KiB, without secrets.
    pub response: &'a str,
}

/// Why a record becomes a dead letter: the cause is the record itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterReason {
    /// Dropped with [`Reason::Rejected`].
    Rejected,
    /// Dropped with [`Reason::Undecodable`].
    Undecodable,
    /// Dropped with [`Reason::TooLarge`]: the memory limit is too low to unpack the record.
    TooLarge,
    /// The target acknowledged the record and rejected some of its profiles.
    PartiallyRejected,
}

impl DeadLetterReason {
    /// The reason for a dropped record; `None` if the cause is not the record itself.
    pub(crate) const fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::Rejected => Some(Self::Rejected),
            Reason::Undecodable => Some(Self::Undecodable),
            Reason::TooLarge => Some(Self::TooLarge),
            _ => None,
        }
    }

    /// The value of `reason` in the file of a dead letter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => Reason::Rejected.as_str(),
            Self::Undecodable => Reason::Undecodable.as_str(),
            Self::TooLarge => Reason::TooLarge.as_str(),
            Self::PartiallyRejected => "partially_rejected",
        }
    }
}

/// Receives the dead letters of deliverers. Cheap to clone; the default is disabled.
#[derive(Clone, Default)]
pub struct DeadLetterSink(Option<Arc<Receiver>>);

type Receiver = dyn Fn(&DeadLetter<'_>) + Send + Sync;

impl DeadLetterSink {
    /// A sink that calls `receive` for each dead letter. The record is still pending during the call, so
    /// `receive` must not wait.
    pub fn new(receive: impl Fn(&DeadLetter<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(receive)))
    }

    /// A sink that ignores every dead letter.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// Passes `letter` to the receiver, if there is one.
    pub fn offer(&self, letter: &DeadLetter<'_>) {
        if let Some(receive) = &self.0 {
            receive(letter);
        }
    }
}

impl fmt::Debug for DeadLetterSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeadLetterSink")
    }
}
