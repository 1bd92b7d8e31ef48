//! One captured request.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crate::{Budget, Headers, Payload, Reservation};

/// The ingestion surface on which a record was received, as a number that `pyroscope-wire` assigns. It is
/// written to disk, so the number of a surface never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurfaceId(pub u8);

/// The parts of a request's head that a delivery needs. All are copies: a clone of hyper's `HeaderMap`
/// would keep the read buffer of the connection in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The surface on which the profile was received.
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
    /// The tags of the relay that captured the record, as that relay's [`Sharing`](crate::Sharing) has them. They are for
    /// the one target that the record is queued for. `None`: this relay captured the record, and its own tags apply.
    pub captor_tags: Option<Arc<str>>,
}

impl Head {
    /// Bytes of memory that the copies take.
    pub fn len(&self) -> usize {
        let bytes = |field: &Option<Box<[u8]>>| field.as_ref().map_or(0, |value| value.len());
        let tags = self.captor_tags.as_ref().map_or(0, |tags| tags.len());
        let copied = self.query.len() + self.headers.len() + tags;
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
    /// A value that the delivery path derives from the body and shares among the targets; see [`Record::shared`].
    shared: OnceLock<Box<dyn Any + Send + Sync>>,
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
            shared: OnceLock::new(),
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

    /// A value that belongs to this record and is dropped with it. The first call creates it. `None`: the first call
    /// created a value of another type.
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Option<&T> {
        let value = self.shared.get_or_init(|| Box::new(T::default()));
        value.downcast_ref()
    }

    /// Charges `bytes` to the records of the budget, for a value that is derived from this record. `None`: the
    /// budget has no room.
    pub fn reserve(&self, bytes: u64) -> Option<Reservation> {
        self.budget().reserve(bytes)
    }

    /// The budget that this record is charged to.
    pub fn budget(&self) -> &Arc<Budget> {
        self.reservation.budget()
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
    use std::sync::Mutex;

    use super::*;
    use crate::SurfaceId;

    fn record(budget: &Arc<Budget>) -> Arc<Record> {
        let head = Head {
            surface: SurfaceId(2),
            query: "".into(),
            content_type: None,
            content_encoding: None,
            headers: Headers::default(),
            hops: 0,
            received: SystemTime::UNIX_EPOCH,
            captor_tags: None,
        };
        let reservation = budget.reserve(10).expect("the budget suffices");
        Record::new(head, Payload::from(vec![7; 10]), reservation)
    }

    #[test]
    fn all_parts_of_a_head_count() {
        let head = Head {
            query: "12".into(),
            content_type: Some(b"123".as_slice().into()),
            content_encoding: Some(b"1234".as_slice().into()),
            captor_tags: Some("12345".into()),
            ..record(&Budget::new(100)).head().clone()
        };
        assert_eq!(head.len(), 14);
    }

    #[test]
    fn what_is_shared_is_made_once_and_charged_until_the_record_goes() {
        let budget = Budget::new(100);
        let record = record(&budget);
        for asked in 0..3 {
            let shared: &Mutex<Vec<Reservation>> = record.shared().expect("the same type");
            let mut shared = shared.lock().unwrap();
            assert_eq!(shared.len(), asked);
            shared.push(record.reserve(10).expect("it fits"));
        }
        assert_eq!(budget.recorded(), 40);
        assert!(budget.is_scarce());
        assert!(record.reserve(36).is_none());
        assert!(record.shared::<String>().is_none(), "another type");
        drop(record);
        assert_eq!((budget.recorded(), budget.receiving()), (0, 0));
    }
}
