//! The check of a record before it is offered, for a client whose answer depends on it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Reason, Record};

/// Finds out whether any target can be sent a record.
///
/// Where the relay answers clients itself, a 200 for a record that no target can be sent would be
/// false. The capturing side knows nothing of bodies and the delivering side nothing of answers:
/// this trait is between them.
pub trait RecordCheck: fmt::Debug + Send + Sync {
    /// Starts the check of `record`. `None`: the head tells that a target can be sent it, and nothing
    /// need be read.
    ///
    /// The check ends within a few seconds, with `Ok` if it does not know by then. It may be dropped
    /// at any time.
    fn check(&self, record: &Arc<Record>) -> Option<Check>;
}

/// A check that has begun.
pub type Check = Pin<Box<dyn Future<Output = Result<(), Unfit>> + Send>>;

/// Why no target can be sent a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// The body cannot be read, and every target needs it changed. The text is for the client.
    Unreadable(String),
    /// The memory limit is too low to unpack the body, whatever else is in memory.
    TooLarge,
}

impl Unfit {
    /// The reason under which the record counts as lost.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Unreadable(_) => Reason::Undecodable,
            Self::TooLarge => Reason::TooLarge,
        }
    }
}
