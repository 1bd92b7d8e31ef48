//! Passes dropped records on to the dead letters.

use std::fmt;
use std::sync::Arc;

use pyrotee_queue::{Reason, Record};

/// A record that a deliverer drops, with the target's last response.
#[derive(Debug)]
pub struct DeadLetter<'a> {
    /// The name of the target.
    pub target: &'a str,
    /// The record as it was captured.
    pub record: &'a Arc<Record>,
    /// Why it is dropped.
    pub reason: Reason,
    /// Failed uploads that count against the record, the last one included.
    pub tries: u32,
    /// Status of the last response; `None` if there was none.
    pub status: Option<u16>,
    /// Body of the last response or the error: one line of at most 2 KiB, without secrets.
    pub response: &'a str,
}

/// Receives the records that deliverers drop. Cheap to clone; the default is disabled.
#[derive(Clone, Default)]
pub struct DeadLetterSink(Option<Arc<Receiver>>);

type Receiver = dyn Fn(&DeadLetter<'_>) + Send + Sync;

impl DeadLetterSink {
    /// A sink that calls `receive` for each dead letter. The record is still pending during the call, so
    /// `receive` must not wait.
    pub fn new(receive: impl Fn(&DeadLetter<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(receive)))
    }

    /// A sink that ignores every record.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// Passes a dropped record on, if the cause is the record itself: [`Reason::Rejected`] or
    /// [`Reason::Undecodable`].
    pub fn offer(&self, letter: &DeadLetter<'_>) {
        if let (Some(receive), Reason::Rejected | Reason::Undecodable) = (&self.0, letter.reason) {
            receive(letter);
        }
    }
}

impl fmt::Debug for DeadLetterSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeadLetterSink")
    }
}
