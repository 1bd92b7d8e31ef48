//! One budget of bytes for all bodies that are being received, queued or sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The global memory limit. A body that several targets share is charged once.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
    recorded: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
        })
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes charged to bodies that are still being received.
    pub fn receiving(&self) -> u64 {
        self.used
            .load(Relaxed)
            .saturating_sub(self.recorded.load(Relaxed))
    }

    /// Bytes charged to records, which are queued or in flight.
    pub fn recorded(&self) -> u64 {
        self.recorded.load(Relaxed)
    }

    /// Whether more than half of the limit is charged.
    pub fn is_scarce(&self) -> bool {
        self.used.load(Relaxed) > self.limit / 2
    }

    /// Charges `bytes`. `None`, with nothing charged: the limit would be exceeded.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation {
            budget: Arc::clone(self),
            bytes: 0,
            recorded: false,
        };
        reservation.grow(bytes).then_some(reservation)
    }

    fn take(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Relaxed, Relaxed, |used| {
                used.checked_add(bytes).filter(|total| *total <= self.limit)
            })
            .is_ok()
    }
}

/// Bytes charged to a [`Budget`]. Dropping the reservation returns them.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
    recorded: bool,
}

impl Reservation {
    /// Charges `bytes` more. `false`, with nothing charged: the limit would be exceeded.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.budget.take(bytes);
        if taken {
            self.bytes += bytes;
            if self.recorded {
                self.budget.recorded.fetch_add(bytes, Relaxed);
            }
        }
        taken
    }

    /// Bytes charged so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The budget that this is a share of.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Another reservation in the same budget, for what belongs to the same record.
    pub(crate) fn sibling(&self, bytes: u64) -> Option<Self> {
        let sibling = self.budget.reserve(bytes)?;
        Some(if self.recorded {
            sibling.into_recorded()
        } else {
            sibling
        })
    }

    /// Moves the bytes from "receiving" to "recorded", for the gauges.
    pub(crate) fn into_recorded(mut self) -> Self {
        if !self.recorded {
            self.recorded = true;
            self.budget.recorded.fetch_add(self.bytes, Relaxed);
        }
        self
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.recorded {
            self.budget.recorded.fetch_sub(self.bytes, Relaxed);
        }
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_returns_all_it_took() {
        let budget = Budget::new(100);
        let mut held = budget.reserve(60).unwrap();
        assert!(!held.grow(41), "41 more would pass the limit");
        assert!(held.grow(40));
        assert_eq!(budget.receiving(), 100);
        let held = held.into_recorded();
        assert_eq!((budget.receiving(), budget.recorded()), (0, 100));
        drop(held);
        assert_eq!((budget.receiving(), budget.recorded()), (0, 0));
    }

    #[test]
    fn what_does_not_fit_is_not_charged() {
        let budget = Budget::new(10);
        assert!(budget.reserve(11).is_none());
        assert!(budget.reserve(u64::MAX).is_none());
        assert_eq!(budget.receiving(), 0);
        assert!(budget.reserve(10).is_some());
    }
}
