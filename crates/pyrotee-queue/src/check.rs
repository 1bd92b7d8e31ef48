//! Checks a record before its offer, where the response to the client depends on the result.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Reason, Record};

/// Checks whether a record can be sent to any target.
///
/// Without an upstream the relay itself responds to clients, and must not respond with 200 if no
/// target can get the record. The request path does not read bodies, and the delivery path does not
/// respond to clients: this trait connects the two.
pub trait RecordCheck: fmt::Debug + Send + Sync {
    /// Starts the check of `record`. `None`: the head alone shows that the record can be sent to a
    /// target, so the body need not be read.
    ///
    /// The check ends within a few seconds, with `Ok` if the result is still unknown by then. The
    /// caller may drop the check at any time.
    fn check(&self, record: &Arc<Record>) -> Option<Check>;
}

/// The check of one record, running.
pub type Check = Pin<Box<dyn Future<Output = Result<(), Unfit>> + Send>>;

/// Why a record cannot be sent to any target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// The body cannot be read, and must be changed for every target. The text is for the client.
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
