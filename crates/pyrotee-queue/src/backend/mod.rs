//! The traits that a queue backend implements ([`Producer`], [`Consumer`], [`Settle`], [`Registry`]), and the types that they use.

mod consumer;
mod lease;
mod limits;
mod producer;
mod registry;
mod sharing;

pub use consumer::{Consumer, FRESH_FOR, Lane, LeaseFilter, LeaseFuture, Surfaces};
pub use lease::{Lease, LeaseEnd, Settle};
pub use limits::{Limits, WhenFull};
pub use producer::{OfferResult, Producer, Receipt};
pub use registry::{OpenBackend, OpenQueue, QueueId, Registry, TargetQueue};
pub use sharing::Sharing;
