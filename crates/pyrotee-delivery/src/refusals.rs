//! Who hears of the records that are given up for what they are.

use std::fmt;
use std::sync::Arc;

use pyrotee_queue::{Reason, Record};

/// A record that its target, or whoever had to put tags into it, will never take.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The name of the target.
    pub target: &'a str,
    /// What was refused, as it was captured.
    pub record: &'a Arc<Record>,
    /// [`Reason::Rejected`] or [`Reason::Undecodable`].
    pub reason: Reason,
    /// Uploads that the record was blamed for, this one included.
    pub tries: u32,
    /// Status of the last answer; `None` if there was none.
    pub status: Option<u16>,
    /// What the target said last: one line of 2 KiB at most, without secrets.
    pub answer: &'a str,
}

/// Takes note of refusals. Called while the record is still pending, so it must not wait.
#[derive(Clone, Default)]
pub struct Refusals(Option<Arc<Note>>);

type Note = dyn Fn(&Refusal<'_>) + Send + Sync;

impl Refusals {
    /// Calls `note` for each.
    pub fn told_to(note: impl Fn(&Refusal<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(note)))
    }

    /// Nobody hears of them.
    pub fn unheard() -> Self {
        Self::default()
    }

    /// Tells of a loss, if it is the record's own fault.
    pub fn tell(&self, refusal: &Refusal<'_>) {
        if let (Some(note), Reason::Rejected | Reason::Undecodable) = (&self.0, refusal.reason) {
            note(refusal);
        }
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refusals")
    }
}
