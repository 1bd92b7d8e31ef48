//! The delivery path's interface to a backend: a [`Consumer`] leases the records of one target.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use crate::{Lease, Reason, SurfaceId, Tally};

/// Longest time that a record stays in [`Lane::Fresh`], from its offer.
pub const FRESH_FOR: Duration = Duration::from_secs(30);

/// The parts of a target's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Untried records that were offered since the target last fell behind, for [`FRESH_FOR`] at most.
    Fresh,
    /// Untried records that could not be delivered in time.
    Backlog,
    /// Records with a failed delivery, whatever their age.
    Failed,
}

/// A set of surfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surfaces(u64);

impl Surfaces {
    /// Every surface.
    pub const ALL: Self = Self(u64::MAX);
    /// No surface.
    pub const NONE: Self = Self(0);

    /// The set with `surface` added.
    #[must_use]
    pub fn with(self, surface: SurfaceId) -> Self {
        Self(self.0 | Self::bit(surface))
    }

    /// The set with `surface` removed.
    #[must_use]
    pub fn without(self, surface: SurfaceId) -> Self {
        Self(self.0 & !Self::bit(surface))
    }

    /// The surfaces of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `surface` belongs to the set.
    pub fn contains(self, surface: SurfaceId) -> bool {
        self.0 & Self::bit(surface) != 0
    }

    /// The set as one bit for each surface, in the order of their numbers.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The bit of a surface. Surfaces from 63 on, which no version has defined, share the last bit.
    fn bit(surface: SurfaceId) -> u64 {
        1 << surface.0.min(63)
    }
}

/// Selects the records that may be leased: those that match all fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseFilter {
    /// The lane of the record.
    pub lane: Lane,
    /// The surfaces on which the record may have been received.
    pub surfaces: Surfaces,
    /// `true`: only records whose retry is not due yet. `false`: only records that are due.
    pub deferred: bool,
}

impl LeaseFilter {
    /// Any record that is due: fresh records first, records with a failed delivery last.
    pub const ANY: [Self; 3] = [
        Self::due(Lane::Fresh),
        Self::due(Lane::Backlog),
        Self::due(Lane::Failed),
    ];

    const fn due(lane: Lane) -> Self {
        Self {
            lane,
            surfaces: Surfaces::ALL,
            deferred: false,
        }
    }
}

/// What [`Consumer::lease`] returns.
pub type LeaseFuture<'a> = Pin<Box<dyn Future<Output = Option<Lease>> + Send + 'a>>;

/// Leases the records of one target to the delivery path.
pub trait Consumer: fmt::Debug + Send + Sync {
    /// Leases a record, and waits until one is available. Applies the first of `filters` that any record passes, and
    /// leases the oldest record that passes this filter; in the failed lane, and among deferred records, the record
    /// whose retry is due first. Evicted records ([`Lease::is_evicted`]) are leased before all others, whatever the
    /// filters. `None`: the queue is closed and no record is pending, or a backend on disk has stopped for a
    /// shutdown. Only one caller at a time may wait.
    fn lease<'a>(&'a self, filters: &'a [LeaseFilter]) -> LeaseFuture<'a>;

    /// Moves all untried records to the backlog, because they could not be delivered in time.
    fn fall_behind(&self);

    /// Drops the records that were received before `received_before` and are not leased, as
    /// [`Reason::Expired`].
    fn expire(&self, received_before: SystemTime);

    /// Closes the queue to new records and drops the records that are not leased, for `reason`. A leased
    /// record that is released afterwards is dropped as well. For [`Reason::Shutdown`], a backend on disk drops
    /// no record: a later process delivers them.
    fn abandon(&self, reason: Reason);

    /// Drops the records that are queued now and not leased, as [`Reason::Admin`], and returns their number and
    /// bytes. The queue stays open.
    fn purge(&self) -> Tally;

    /// When the oldest pending record was received, in flight included. `None`: no record is pending.
    fn oldest(&self) -> Option<SystemTime>;
}
