//! One captured request.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::OnceCell;

use crate::{Payload, Reservation};

/// Which ingestion surface a record came in by. The number is given by `pyroscope-wire` and
/// means nothing here; it must stay the same for ever, since it is written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurfaceId(pub u8);

/// The parts of a request's head that a delivery needs. They are copies: a clone of hyper's
/// `HeaderMap` would pin the read buffer of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How the profile came in.
    pub surface: SurfaceId,
    /// The raw query, without `?`, as the client wrote it.
    pub query: Box<str>,
    /// `Content-Type`, byte for byte (a multipart boundary is in it).
    pub content_type: Option<Box<[u8]>>,
    /// `Content-Encoding`, byte for byte.
    pub content_encoding: Option<Box<[u8]>>,
    /// How many relays the profile has passed before this one.
    pub hops: u8,
    /// When the head arrived; a profile without times of its own belongs to this instant.
    pub received: SystemTime,
}

impl Head {
    /// Bytes that the head's copies take.
    pub fn len(&self) -> usize {
        let bytes = |field: &Option<Box<[u8]>>| field.as_ref().map_or(0, |value| value.len());
        self.query.len() + bytes(&self.content_type) + bytes(&self.content_encoding)
    }

    /// Whether there is nothing to copy.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One captured request: shared by all targets, changed by none. Tags are applied at delivery.
pub struct Record {
    head: Head,
    body: Payload,
    /// What deliverers have made of the body, once for all targets.
    derived: OnceCell<Box<dyn Any + Send + Sync>>,
    /// The budget gets these bytes back when the last target has settled.
    reservation: Reservation,
}

impl Record {
    /// Bytes that a record costs beside its head and body, for the budget: the allocations, the
    /// slots in the queues, the request that is built to send it (measured, see ADR 0003).
    pub const OVERHEAD: u64 = 1_300;

    /// A record whose memory `reservation` already covers.
    pub fn new(head: Head, body: Payload, reservation: Reservation) -> Arc<Self> {
        Arc::new(Self {
            head,
            body,
            derived: OnceCell::new(),
            reservation: reservation.into_recorded(),
        })
    }

    /// What the client said about the body.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The captured body.
    pub fn body(&self) -> &Payload {
        &self.body
    }

    /// Length of the captured body, in bytes: what the ledger counts.
    pub fn len(&self) -> u64 {
        self.body.len()
    }

    /// What `make` makes of this record: made by whoever asks first, shared by all who ask later,
    /// and dropped with the record. `None` if others have made something of another type.
    pub async fn derive<T, F>(&self, make: impl FnOnce() -> F) -> Option<&T>
    where
        T: Send + Sync + 'static,
        F: Future<Output = T>,
    {
        let make = || async { Box::new(make().await) as Box<dyn Any + Send + Sync> };
        self.derived.get_or_init(make).await.downcast_ref()
    }

    /// Charges `bytes` for what is derived from this record, or `None` if the budget is spent.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        self.reservation.sibling(bytes)
    }

    /// The most bytes that [`reserve`](Self::reserve) can ever charge: all that the budget has beside
    /// the record itself.
    pub fn most_reservable(&self) -> u64 {
        let limit = self.reservation.budget().limit();
        limit.saturating_sub(self.reservation.bytes())
    }

    /// Whether more than half of the budget is charged, so that nothing should be kept for later that
    /// can be made again.
    pub fn is_memory_scarce(&self) -> bool {
        self.reservation.budget().is_scarce()
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.body.len() == 0
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("head", &self.head)
            .field("bytes", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Budget, SurfaceId};

    fn record(budget: &Arc<Budget>) -> Arc<Record> {
        let head = Head {
            surface: SurfaceId(2),
            query: "".into(),
            content_type: None,
            content_encoding: None,
            hops: 0,
            received: SystemTime::UNIX_EPOCH,
        };
        let reservation = budget.reserve(10).expect("the budget suffices");
        Record::new(head, Payload::from(vec![7; 10]), reservation)
    }

    #[tokio::test]
    async fn what_is_derived_is_made_once_and_charged_until_the_record_goes() {
        let budget = Budget::new(100);
        let record = record(&budget);
        for asked in 0..3 {
            let derived = record
                .derive(|| async { (asked, record.reserve(50).expect("it fits")) })
                .await;
            assert_eq!(derived.expect("the same type").0, 0);
        }
        assert_eq!(budget.recorded(), 60);
        assert!(record.is_memory_scarce());
        assert_eq!(record.most_reservable(), 90);
        assert!(record.reserve(41).is_none());
        assert!(record.derive(|| async { "another type" }).await.is_none());
        drop(record);
        assert_eq!((budget.recorded(), budget.receiving()), (0, 0));
    }
}
