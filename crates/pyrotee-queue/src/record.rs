//! One captured request.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::OnceCell;

use crate::{Headers, Payload, Reservation};

/// The ingestion surface that a record came in by, as a number that `pyroscope-wire` assigns. It is
/// written to disk, so the number of a surface never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurfaceId(pub u8);

/// The parts of a request's head that a delivery needs. All are copies: a clone of hyper's `HeaderMap`
/// would keep the read buffer of the connection in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The surface that the profile came in by.
    pub surface: SurfaceId,
    /// The raw query, without `?`, as the client wrote it.
    pub query: Box<str>,
    /// `Content-Type`, byte for byte (it may contain a multipart boundary).
    pub content_type: Option<Box<[u8]>>,
    /// `Content-Encoding`, byte for byte.
    pub content_encoding: Option<Box<[u8]>>,
    /// Further headers that give the body its meaning, with names in lower case.
    pub headers: Headers,
    /// How many relays the profile passed before this one.
    pub hops: u8,
    /// When the head arrived, from [`receipt_time`](crate::receipt_time()). Profiles without timestamps are
    /// sent with this time.
    pub received: SystemTime,
}

impl Head {
    /// Bytes of memory that the copies take.
    pub fn len(&self) -> usize {
        let bytes = |field: &Option<Box<[u8]>>| field.as_ref().map_or(0, |value| value.len());
        let copied = self.query.len() + self.headers.len();
        copied + bytes(&self.content_type) + bytes(&self.content_encoding)
    }

    /// Whether all parts are empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One captured request, shared by all targets and never changed. Tags are applied at delivery.
pub struct Record {
    head: Head,
    body: Payload,
    /// What the delivery path derived from the body, once for all targets.
    derived: OnceCell<Box<dyn Any + Send + Sync>>,
    /// Returns its bytes to the budget when the last target has settled the record.
    reservation: Reservation,
}

impl Record {
    /// Bytes of memory that a record costs beside its head and body, for the budget: its allocations, its
    /// entries in the queues and the request that is built to send it (measured, see ADR 0003).
    pub const OVERHEAD: u64 = 1_300;

    /// A record whose memory is already charged to `reservation`.
    pub fn new(head: Head, body: Payload, reservation: Reservation) -> Arc<Self> {
        Arc::new(Self {
            head,
            body,
            derived: OnceCell::new(),
            reservation: reservation.into_recorded(),
        })
    }

    /// The head of the captured request.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The captured body.
    pub fn body(&self) -> &Payload {
        &self.body
    }

    /// Length of the captured body, in bytes. The ledger counts this length.
    pub fn len(&self) -> u64 {
        self.body.len()
    }

    /// Derives a value from this record with `make`. The first call makes the value; later calls return the
    /// same one, and it is dropped with the record. `None`: an earlier call made a value of another type.
    pub async fn derive<T, F>(&self, make: impl FnOnce() -> F) -> Option<&T>
    where
        T: Send + Sync + 'static,
        F: Future<Output = T>,
    {
        let make = || async { Box::new(make().await) as Box<dyn Any + Send + Sync> };
        self.derived.get_or_init(make).await.downcast_ref()
    }

    /// Charges `bytes` to the budget for a value that is derived from this record. `None`: the budget has
    /// no room.
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
            headers: Headers::default(),
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
